import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import { deploy, moduleFile, takeModuleIn, write } from "./owner.ts";

// No stack ever comes to these machines: only the module, and keys that somebody places as docs/reference/files-on-a-machine.md says.
const home = useHome();
const data = "/var/lib/nixos-cache";

/** Fetches a new path, and says whose signature it came with. */
async function signedBy(): Promise<string> {
  const fetched = await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
  expect(fetched.copying).toContain("from 'ssh");
  return fetched.signedBy;
}

test("typed options, and keys placed by hand", async () => {
  for (const host of ["kalaw", "pai"]) await takeModuleIn(home(), host);
  const trusted = await home().on(
    "kalaw",
    `mkdir -p ${data}/secret/signing && chmod 700 ${data}/secret
     umask 077
     nix key generate-secret --key-name by-hand >${data}/secret/signing/by-hand
     umask 022
     echo 'extra-secret-key-files = ${data}/secret/signing/by-hand' >${data}/nix.conf
     nix key convert-secret-to-public <${data}/secret/signing/by-hand`,
  );
  const key = await home().on(
    "pai",
    `mkdir -p ${data}/secret && chmod 700 ${data}/secret
     ssh-keygen -q -t ed25519 -N '' -C by-hand -f ${data}/secret/identity
     echo 'extra-trusted-public-keys = ${trusted}' >${data}/nix.conf
     cat ${data}/secret/identity.pub`,
  );
  await home().on("kalaw", `cat >${data}/authorized_keys`, `${key}\n`);

  await deploy(
    home(),
    "kalaw",
    `{ imports = [ ${moduleFile} ]; services.nixos-cache.server.enable = true; }`,
  );
  await deploy(
    home(),
    "pai",
    `{
      imports = [ ${moduleFile} ];
      services.nixos-cache.client.servers.kalaw.hostKey = "${await home().lab.hostKey("kalaw")}";
    }`,
  );
  expect(await signedBy()).toBe("by-hand");
});

test("settings from a file of JSON", async () => {
  const hostKey = await home().lab.hostKey("kalaw");
  const settings = { server: { enable: true, onlyOurKeys: true }, client: { servers: {} } };
  await write(home(), "kalaw", "settings.json", JSON.stringify(settings));
  const servers = { cache: { address: "kalaw", port: 22, hostKey, priority: 20 } };
  await write(home(), "pai", "settings.json", JSON.stringify({ client: { servers } }));
  for (const host of ["kalaw", "pai"]) {
    await deploy(
      home(),
      host,
      `{
        imports = [ ${moduleFile} ];
        services.nixos-cache = builtins.fromJSON (builtins.readFile ../settings.json);
      }`,
    );
  }
  expect(await signedBy()).toBe("by-hand");
  expect(await home().on("pai", "cat /etc/nix/nix.conf")).toContain("?priority=20");
});

test("a key that is taken out of the list has no access any more, without a deployment", async () => {
  const path = await buildNewPath(home().lab, "kalaw");
  await home().on("kalaw", `: >${data}/authorized_keys`);
  const { code, stderr } = await home().tryOn("pai", `nix-store --realise ${path}`);
  expect(code).not.toBe(0);
  expect(stderr).toContain("Permission denied (publickey");
});

test("without the keys, a machine builds and boots as if it had no cache", async () => {
  for (const host of ["kalaw", "pai"]) {
    await home().on(host, `rm -r ${data} && systemctl restart nix-daemon`);
    await buildNewPath(home().lab, host);
  }
  await home().lab.reboot("pai");
  expect(await home().on("pai", "systemctl is-system-running")).toBe("running");
  await buildNewPath(home().lab, "pai");
});
