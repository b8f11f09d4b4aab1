import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, test } from "vitest";
import { toolchain } from "../../dev/tools/toolchain.ts";
import { useHome } from "../system/home.ts";

/** The language host on the lab's PATH may be too old for hooks, as the one is that can be built from Go modules. */
const { env } = await toolchain(() => {});
const host = (env.PATH ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "pulumi-language-nodejs"))
  .find(existsSync);
const hooks = host !== undefined && readFileSync(host).includes("RegisterResourceHook");

describe.runIf(hooks)("where the language host knows hooks", () => {
  const home = useHome(undefined, { after: "up" });

  /** SSH's packet that ends a connection, before there is a key (RFC 4253, sections 6 and 11.1), with words for a terminal. */
  const goodbye = (() => {
    const words = Buffer.from("\u001b]0;owned\u0007\u001b]52;c;AAAA\u0007");
    const number = (value: number) => Buffer.from(Uint32Array.of(value).buffer).swap32();
    const said = [Buffer.of(1), number(2), number(words.length), words, number(0)];
    const payload = Buffer.concat(said);
    const padding = 4 + ((8 - ((payload.length + 9) % 8)) % 8);
    const head = [number(1 + payload.length + padding), Buffer.of(padding)];
    return Buffer.concat([...head, payload, Buffer.alloc(padding)]);
  })();

  /** In place of a machine's sshd, until `answering`: accepts every connection, says this, and nothing more. */
  async function tarpit(host: string, says = Buffer.alloc(0)): Promise<void> {
    const program = `import base64, socket
server = socket.create_server(("0.0.0.0", 22))
held = []
while True:
    held.append(server.accept()[0])
    held[-1].sendall(base64.b64decode("${says.toString("base64")}"))`;
    await home().on(
      host,
      `systemctl stop sshd && cat >/root/tarpit.py && systemd-run --quiet --unit=tarpit python3 /root/tarpit.py
     until ss -ltn | grep -q :22; do sleep 0.1; done`,
      program,
    );
  }

  async function answering(host: string): Promise<void> {
    await home().on(
      host,
      "systemctl stop tarpit; systemctl reset-failed tarpit; systemctl start sshd",
    );
  }

  /** An update that fails for pai. @returns what it said, and its seconds */
  async function upWithoutPai(): Promise<{ said: string; seconds: number }> {
    const start = performance.now();
    const said = await home().failingUp();
    return { said, seconds: (performance.now() - start) / 1000 };
  }

  describe.runIf(hooks)("a machine that accepts a connection", () => {
    test("and says nothing: the update ends, and names it", async () => {
      await tarpit("pai");
      await home().set("clients.pai.priority", "30");
      const { said, seconds } = await upWithoutPai();
      expect(said).toMatch(/pai: nothing was done there: \S+ port 22 did not answer in time/);
      expect(seconds).toBeLessThan(30);
      await home().stack.run(["preview"]);
      await answering("pai");
    });

    test("and says its version alone: so it is, and others have their change", async () => {
      await tarpit("pai", Buffer.from("SSH-2.0-x\r\n"));
      await home().set("servers.kalaw.onlyOurKeys", "true");
      const { said } = await upWithoutPai();
      expect(said).toMatch(/pai: nothing was done there: \S+ port 22 did not answer in time/);
      expect(await home().on("kalaw", "cat /etc/nixos/nixos-cache/server.json")).toContain(
        '"onlyOurKeys":true',
      );
      await answering("pai");
    });

    test("and ends it with words for a terminal: they do not reach it", async () => {
      await tarpit("pai", Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), goodbye]));
      const { said } = await upWithoutPai();
      expect(said).toMatch(/pai: nothing was done there: the SSH connection to \S+ port 22 failed/);
      expect(said).not.toContain("\u001b]");
      await answering("pai");
    });
  });

  test("what is done elsewhere alone needs no answer", async () => {
    await tarpit("kalaw", Buffer.from("SSH-2.0-x\r\n"));
    const { stdout } = await home().stack.run(["stack", "export"]);
    const { resources } = JSON.parse(stdout).deployment as { resources: { urn: string }[] };
    const urn = resources.find(({ urn }) => urn.endsWith("::pai-settings"))?.urn ?? "";
    await home().stack.run(["up", "--yes", "--skip-preview", "--target", urn]);
    await answering("kalaw");
  });

  test("when both answer again, all is done, and then there is nothing more to do", async () => {
    await home().up();
    expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain("priority=30");
    await home().stack.run(["preview", "--expect-no-changes"]);
    await home().stack.run(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
  });

  test("and all can be taken away", async () => {
    await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  });
});
