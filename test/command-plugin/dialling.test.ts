import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { connection, connects, sshd, stackOf } from "./contract.ts";
import { listener } from "./listener.ts";
import { freePort } from "./sshd.ts";

describe("dialling", () => {
  test("11 dials for a limit of 10, backing off from 0.1 s by half to 5 s", async () => {
    const attempts: number[] = [];
    const port = await listener((socket) => {
      attempts.push(performance.now());
      socket.destroy();
    });
    const messages = await connects({ port, dialErrorLimit: 10 });
    expect(messages.slice(0, -1)).toEqual(
      Array.from({ length: 10 }, (_, index) => `info: Dial ${index + 1}/10 failed: retrying`),
    );
    expect(messages.at(-1)).toMatch(/^error!: after 10 failed attempts: ssh: handshake failed: /);
    expect(attempts).toHaveLength(11);
    attempts.slice(1).forEach((at, index) => {
      const waited = at - (attempts[index] ?? 0);
      const expected = Math.min(100 * 1.5 ** index, 5000);
      expect(waited).toBeGreaterThan(expected - 20);
      expect(waited).toBeLessThan(expected + 1000);
    });
  });

  test("login and host-key failures are retried too", async () => {
    for (const wrong of [
      { privateKey: sshd.privateKey("stranger") },
      { hostKey: sshd.publicKey("stranger") },
    ]) {
      const messages = await connects({ ...wrong, dialErrorLimit: 1 });
      expect(messages[0]).toBe("info: Dial 1/1 failed: retrying");
      expect(messages[1]).toMatch(/^error!: after 1 failed attempts: ssh: handshake failed: /);
    }
  });

  test("without a limit it goes on until the host is there", async () => {
    let refused = 3;
    const port = await listener((socket) => {
      if (refused-- > 0) socket.destroy();
      else socket.pipe(connect(sshd.port, "127.0.0.1")).pipe(socket);
    });
    expect(await connects({ port, dialErrorLimit: -1 })).toEqual([
      "info: Dial 1/inf failed: retrying",
      "info: Dial 2/inf failed: retrying",
      "info: Dial 3/inf failed: retrying",
    ]);
  });

  test("customTimeouts end the retries", async () => {
    const port = await freePort();
    const timed = stackOf({ connection: connection({ port, dialErrorLimit: -1 }), create: "true" });
    timed.options = { customTimeouts: { create: "1s" } };
    expect((await timed.run("up")).messages.at(-1)).toBe("error!: context deadline exceeded");
  });

  test("and those of a delete", async () => {
    let isThere = true;
    const port = await listener((socket) => {
      if (isThere) socket.pipe(connect(sshd.port, "127.0.0.1")).pipe(socket);
      else socket.destroy();
    });
    const timed = stackOf({
      connection: connection({ port, dialErrorLimit: -1 }),
      create: "true",
      delete: "true",
    });
    timed.options = { customTimeouts: { delete: "1s" } };
    expect((await timed.run("up")).error).toBe("");
    isThere = false;
    expect((await timed.run("destroy")).messages.at(-1)).toBe("error!: context deadline exceeded");
  });

  // So components/has-to-answer.ts.
  test("but no handshake in which nobody answers", async () => {
    let hungUp = 0;
    const port = await listener((socket) => {
      setTimeout(() => {
        hungUp = performance.now();
        socket.destroy();
      }, 3000);
    });
    const timed = stackOf({ connection: connection({ port }), create: "true" });
    timed.options = { customTimeouts: { create: "1s" } };
    await timed.run("up");
    expect(hungUp).toBeGreaterThan(0);
  });

  test("cancelling ends the retries", async () => {
    const cancel = new AbortController();
    const port = await listener((socket) => {
      socket.destroy();
      cancel.abort();
    });
    const stack = stackOf({ connection: connection({ port, dialErrorLimit: -1 }), create: "true" });
    expect((await stack.run("up", cancel.signal)).messages.at(-1)).toBe("error!: context canceled");
  });

  test("over a proxy, one hop", async () => {
    const port = await freePort();
    const proxy = connection();
    expect(await connects({ proxy })).toEqual([]);
    expect(
      await connects({ dialErrorLimit: 1, proxy: { ...proxy, port, dialErrorLimit: 1 } }),
    ).toEqual([
      "info: Dial proxy 1/1 failed: retrying",
      `error!: proxy: after 1 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`,
    ]);
    expect(await connects({ port, dialErrorLimit: 1, proxy })).toEqual([
      "info: Dial from proxy 1/1 failed: retrying",
      'error!: proxy: after 1 failed attempts: ssh: rejected: connect failed ("Connection refused")',
    ]);
  });
});
