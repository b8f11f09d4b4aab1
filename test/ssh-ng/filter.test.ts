import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { suites } from "../../dev/lab/suite.ts";
import { FilteredDaemon } from "./filtered-daemon.ts";
import { hello, magic, number, string, type WorkerClient } from "./worker-client.ts";

const nix = "nix --extra-experimental-features nix-command";
const store = "'ssh-ng://localhost?remote-program=/filter'";
const readOnly = "nixos-cache: this cache only lets clients read";
const operation = { isValidPath: 1, setOptions: 19, queryPathInfo: 26, queryValidPaths: 31 };
const [narFromPath, queryMissing, queryRealisation, build] = [38, 40, 43, 46];
const allowed = [1, 19, 26, 31, 38, 40, 43, 46];

// Nix 2.26 and the newest: real daemons, and the filter between them and a client.
describe.each(suites)("before a daemon of %s", (suite) => {
  let daemon: FilteredDaemon;
  let path: string;
  /** A path that is not in the store, but where the daemon could fetch it from. */
  let elsewhere: string;
  beforeAll(async () => {
    daemon = await FilteredDaemon.start(suite);
    path = await daemon.sh("echo here >/root/here && nix-store --add /root/here");
    elsewhere = await daemon.sh(
      `echo there >/root/there && path=$(nix-store --add /root/there) &&
       ${nix} copy --to file:///elsewhere $path && nix-store --quiet --delete $path >/dev/null 2>&1 && echo $path`,
    );
  });
  afterAll(() => daemon.stop());

  async function greeted(): Promise<WorkerClient> {
    const client = daemon.client();
    await client.greet();
    return client;
  }

  /** What a request that has no words comes to. */
  async function answer(client: WorkerClient): Promise<number> {
    await client.answerBegins();
    return client.number();
  }

  async function isValid(client: WorkerClient, path: string): Promise<number> {
    client.send(number(operation.isValidPath), string(path));
    return answer(client);
  }

  describe("what fetching needs", () => {
    test("nix copy, nix store dump-path and nix-store --realise of several paths", async () => {
      const paths = await daemon.sh(
        "mkdir -p /root/p && for i in 1 2 3 4 5; do echo $i >/root/p/$i; done && nix-store --add /root/p/*",
      );
      const list = paths.replaceAll("\n", " ");
      await daemon.sh(`${nix} copy --no-check-sigs --from ${store} --to /copied ${list}`);
      await daemon.sh(
        `nix-store --realise --option substituters ${store} --option require-sigs false --store /realised ${list}`,
      );
      for (const each of paths.split("\n"))
        await daemon.sh(
          `${nix} store dump-path --store ${store} ${each} >/root/nar && nix-store --dump ${each} | cmp - /root/nar &&
           cmp ${each} /copied${each} && cmp ${each} /realised${each}`,
        );
    });

    test("a NAR of 400 MB comes through as it is, in little memory", async () => {
      const big = await daemon.sh(
        "head -c 400000000 /dev/urandom >/root/big && nix-store --add /root/big",
      );
      const client = await greeted();
      client.send(number(narFromPath), string(big));
      await client.answerBegins();
      // What the NAR of one file has around it.
      const sum = await client.sha256(400_000_000 + 112);
      expect(await daemon.sh(`nix-store --dump ${big} | sha256sum`)).toContain(sum);
      expect(await mostMemory(client)).toBeLessThan(40);
      client.close();
      expect(await client.rest()).toHaveLength(0);
    });
  });

  describe("what else the daemon could do", () => {
    test.each([...Array(60).keys(), 1000, 1001].filter((number) => !allowed.includes(number)))(
      "operation %d is refused, and the connection ends",
      async (number_) => {
        const client = await greeted();
        client.send(number(number_), string(path), number(0), number(0));
        expect(await client.refusal()).toBe(`${readOnly}, which operation ${number_} is not for`);
      },
    );

    test("what comes before a refused one is answered", async () => {
      const client = await greeted();
      const ask = Buffer.concat([number(operation.isValidPath), string(path)]);
      client.send(ask, ask, number(20), number(0));
      expect([await answer(client), await answer(client)]).toEqual([1, 1]);
      expect(await client.refusal()).toContain("operation 20");
    });

    test("Nix's own words for it: no list, no copy to it, no garbage collected, nothing built", async () => {
      await daemon.sh(
        `cat >/root/x.nix <<'EOT'
derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo >$out" ]; }
EOT
         echo new >/root/new`,
      );
      const drv = await daemon.sh("nix-instantiate /root/x.nix 2>/dev/null");
      for (const command of [
        "path-info --all",
        "store gc",
        "store add-path /root/new",
        "store verify --all",
        "store optimise",
        `store delete ${path}`,
        `build ${drv}^out`,
      ]) {
        const { code, said } = await daemon.attempt(`${nix} ${command} --store ${store}`);
        expect(code, command).not.toBe(0);
        expect(said, command).toContain("nixos-cache: this cache only lets clients read");
      }
    });

    test("the daemon fetches nothing for a client, whatever way it asks", async () => {
      const client = await greeted();
      // Its own options: all that could make the daemon fetch.
      const ask = [number(operation.setOptions), number(1), number(1), number(1), number(7)];
      ask.push(number(9), number(0), number(1), number(0), number(0), number(0), number(9));
      ask.push(number(1), number(1), string("substituters"), string("file:///elsewhere"));
      client.send(...ask);
      expect(await client.number()).toBe(magic.last);
      client.send(number(operation.queryValidPaths), number(1), string(elsewhere), number(1));
      expect(await answer(client)).toBe(0);
      client.send(number(queryMissing), number(1), string(elsewhere));
      await client.answerBegins();
      expect((await client.bytes(5 * 8)).every((byte) => byte === 0)).toBe(true);
      client.send(number(build), number(1), string(elsewhere), number(1));
      client.send(number(operation.isValidPath), string(elsewhere));
      client.close();
      await client.rest();
      expect(await isValid(await greeted(), elsewhere)).toBe(0);
      // Without the filter it would have.
      await daemon.sh(`NIX_REMOTE=daemon nix-store --realise ${elsewhere}`);
      expect(await isValid(await greeted(), elsewhere)).toBe(1);
      await daemon.sh(`nix-store --delete ${elsewhere}`);
    });

    // A daemon that wants a feature for realisations refuses without having read the string, whose length it would then
    // take for an operation: 23 is the list of all paths.
    test("no request is hidden in another, of a realisation", async () => {
      const client = await greeted();
      client.send(number(queryRealisation), string("x".repeat(23)));
      expect(await answer(client)).toBe(0);
      expect(await isValid(client, path)).toBe(1);
      client.close();
      expect(await client.rest()).toHaveLength(0);
    });

    test("a derivation's outputs are not built", async () => {
      const client = await greeted();
      client.send(number(build), number(1), string(`${path}!out`), number(0));
      expect(await client.refusal()).toBe(`${readOnly}, and builds nothing for them`);
    });
  });

  describe("whatever way the bytes come", () => {
    test("a byte at a time, and many requests at once", async () => {
      const client = daemon.client();
      for (const byte of number(magic.client)) client.send(Buffer.from([byte]));
      await client.bytes(16);
      for (const byte of hello) client.send(Buffer.from([byte]));
      await client.string();
      await client.bytes(16);
      const ask = Buffer.concat([number(operation.isValidPath), string(path)]);
      for (const byte of ask) client.send(Buffer.from([byte]));
      expect(await answer(client)).toBe(1);
      client.send(...Array(1000).fill(ask));
      for (let i = 0; i < 1000; i++) expect(await answer(client)).toBe(1);
      client.close();
      expect(await client.rest()).toHaveLength(0);
    });

    test("no features, and an older version than either side has", async () => {
      const client = daemon.client();
      expect((await client.greet()).version).toBe(0x125);
    });

    test.each([
      ["a string", [number(operation.isValidPath), number(2n ** 64n - 1n)]],
      ["a string of 3 GB", [number(narFromPath), number(3_000_000_000)]],
      ["a number of paths", [number(operation.queryValidPaths), number(2n ** 63n)]],
      ["paths without end", [number(operation.queryValidPaths), number(2n ** 40n)]],
      [
        "settings",
        [...[operation.setOptions, ...Array(12).fill(0)].map(number), number(2n ** 60n)],
      ],
    ])("a length that is too large, of %s: an end, in little memory", async (what, parts) => {
      const client = await greeted();
      client.send(...parts);
      const empty = Buffer.alloc(1 << 20);
      if (!what.includes("string")) for (let i = 0; i < 9; i++) client.send(empty);
      expect(await client.refusal()).toBe("nixos-cache: a request has more than 8388608 bytes");
    });

    test("more paths to copy than a daemon should set up: an end", async () => {
      const client = await greeted();
      client.send(number(build), number(2000), Buffer.concat(Array(1001).fill(string(path))));
      expect(await client.refusal()).toBe("nixos-cache: a request has more than 1000 paths");
    });

    test.each([
      ["nothing", []],
      ["another protocol", [number(0x390c9deb), number(0x207)]],
      ["half a magic number", [number(magic.client).subarray(0, 4)]],
      ["no version", [number(magic.client)]],
      ["an old version", [number(magic.client), number(0x115), number(0), number(0)]],
      ["half a handshake", [number(magic.client), hello.subarray(0, 12)]],
    ])("a client that sends %s and goes leaves nothing behind", async (_, parts) => {
      const client = daemon.client();
      client.send(...parts);
      client.close();
      await client.rest();
      expect(client.process.exitCode).toBe(1);
      expect(client.words).not.toContain("Traceback");
    });

    test.each([
      ["nothing", []],
      ["a magic number alone", [number(magic.client)]],
      ["no end of the handshake", [number(magic.client), hello.subarray(0, 16)]],
    ])("a client that sends %s and stays has a limit of time", async (_, parts) => {
      const client = daemon.client({ handshakeSeconds: 1 });
      client.send(...parts);
      await client.rest();
      expect(client.process.signalCode).toBe("SIGALRM");
    });

    test("after the handshake there is none: Nix keeps connections that it does not use", async () => {
      const client = daemon.client({ handshakeSeconds: 1 });
      await client.greet();
      const other = daemon.client({ handshakeSeconds: 1 });
      // It began later, so by now the first one's time is over too.
      await other.rest();
      expect(await isValid(client, path)).toBe(1);
    });

    test("a hundred clients at once", async () => {
      const clients = await Promise.all(Array.from({ length: 100 }, greeted));
      const valid = await Promise.all(clients.map((client) => isValid(client, path)));
      expect(valid).toEqual(Array(100).fill(1));
      const memory = await Promise.all(clients.map(mostMemory));
      expect(Math.max(...memory)).toBeLessThan(40);
      for (const client of clients) client.close();
      await Promise.all(clients.map((client) => client.rest()));
    });

    test("a client that is gone in the middle of a reply ends the filter", async () => {
      const client = await greeted();
      client.send(number(narFromPath), string(path));
      client.process.stdout.destroy();
      client.close();
      await new Promise((resolve) => client.process.once("exit", resolve));
    });
  });
});

/** The most memory that a client's filter has had, in MB. */
async function mostMemory(client: WorkerClient): Promise<number> {
  const status = await readFile(`/proc/${client.process.pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1000;
}
