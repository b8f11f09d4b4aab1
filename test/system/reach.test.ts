import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { ownProtocol } from "../own-protocol.ts";
import { keysOf, storedKeypair } from "../rotation/keys.ts";
import { useHome } from "./home.ts";

/** Only kalaw can be reached from outside, and no machine has an IPv4 address. */
const home = useHome();

async function newPathReachesPai(): Promise<void> {
  await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
}

test("over IPv6 alone, and through a jump host: first up and a fetch", async () => {
  const { lab } = home();
  for (const host of ["kalaw", "pai"]) await home().on(host, "ip -4 address flush dev eth0");
  // pai's answers to the operator are lost.
  await home().on("pai", "ip -6 route add blackhole 2001:db8::1/128");
  const [kalaw, pai] = [lab.address6("kalaw"), lab.address6("pai")];
  await home().set("servers.kalaw.connection.host", kalaw);
  await home().set("servers.kalaw.address", kalaw);
  await home().set("clients.pai.connection.host", pai);
  await home().set("clients.pai.connection.jump.host", kalaw);
  await home().set("clients.pai.connection.jump.hostKey", await lab.hostKey("kalaw"));
  await home().set("plan", "true");
  const { stdout, stderr } = await home().stack.run(["preview"]);
  expect(stdout + stderr).toMatch(/plan for pai \(client\).*: new system \/nix\/store\//);
  expect(stdout + stderr).not.toContain("could not be looked at");
  await home().set("plan", "false");
  await home().up();
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain(
    `${ownProtocol}://nix-ssh@[${kalaw}]`,
  );
  await newPathReachesPai();
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("all keys are renewed, and nothing has drifted", async () => {
  const before = await storedKeypair(home(), "pai-key");
  await home().set("rotation", "2");
  await home().up();
  await newPathReachesPai();
  const [key] = await keysOf(home(), "pai");
  expect(before.publicKey).not.toContain(key);
  const { stdout, stderr } = await home().stack.run(["preview", "--expect-no-changes"]);
  expect(stdout + stderr).not.toContain("warning");
});

test("the guard finds the cache off, and says so", async () => {
  await home().on("kalaw", "systemctl stop sshd");
  const unknown = `/nix/store/${"0".repeat(32)}-unknown`;
  const { stderr } = await home().tryOn("pai", `nix-store --realise ${unknown}`);
  expect(stderr).toContain(`nixos-cache: ${home().lab.address6("kalaw")} port 22 is unreachable`);
  await home().on("kalaw", "systemctl start sshd");
});

test("and all is taken away", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  await home().on("pai", "test ! -e /var/lib/nixos-cache");
});
