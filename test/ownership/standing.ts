import { expect } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { ownProtocol } from "../own-protocol.ts";
import type { Home } from "../system/home.ts";

/** Whose a machine is, and which keys count there. */
export interface Standing {
  /** `ROLE STACK COMPONENT`, sorted. */
  owners: string[];
  /** Of each key that may read: `STACK COMPONENT`, sorted. */
  readers: string[];
  /** The names of the keys that sign, the newest first. */
  signing: string[];
  /** The names of the signing keys that it trusts. */
  trusted: string[];
  /** The private keys that are there: `identity`, and the names of signing keys, each once. */
  secrets: string[];
}

const data = "/var/lib/nixos-cache";

/** What stands on a host; stacks without organization and project. */
export async function standingOn(home: Home, host: string): Promise<Standing> {
  const lines = async (script: string) =>
    (await home.on(host, `cd ${data} 2>/dev/null || exit 0; ${script}`))
      .replaceAll("organization/nixos-cache/", "")
      .split("\n")
      .filter(Boolean);
  const named = (setting: string) =>
    lines(`sed -n 's/^${setting} = //p' nix.conf | tr ' ' '\\n' | sed 's|:.*||; s|.*/||'`);
  return {
    owners: await lines("sort owners"),
    readers: await lines("awk '{ print $(NF - 1), $NF }' authorized_keys | sort"),
    signing: (await named("extra-secret-key-files")).filter((name) => name !== "newest"),
    trusted: await named("extra-trusted-public-keys"),
    secrets: await lines(
      "cd secret; ls identity 2>/dev/null; cat signing/* 2>/dev/null | cut -d: -f1 | sort -u",
    ),
  };
}

/**
 * That a new path goes from a server to a client, and that nothing is left to do.
 * @param options.args more words for `pulumi up`, like `--stack`
 */
export async function expectWorking(
  home: Home,
  { server = "kalaw", client = "pai", args = [] as readonly string[] } = {},
): Promise<void> {
  const path = await buildNewPath(home.lab, server);
  const { copying } = await fetchPath(home.lab, client, path);
  expect(copying).toContain(`from '${ownProtocol}://nix-ssh@${server}'`);
  const { stdout, stderr } = await home.stack.run([
    ...["up", "--yes", "--skip-preview", "--expect-no-changes"],
    ...args,
  ]);
  expect(stdout + stderr).not.toMatch(/drifted|could not be looked at/);
}

/** That a server does not let a client in, by the key that stands there. */
export async function expectRefused(home: Home, server: string, client: string): Promise<void> {
  const { stderr } = await home.tryOn(
    client,
    `ssh -F none -i ${data}/secret/identity -o IdentitiesOnly=yes -o BatchMode=yes \
       -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null nix-ssh@${server} </dev/null`,
  );
  expect(stderr).toContain("Permission denied (publickey");
}

/** That nothing of ours is on a host. */
export async function expectNothingOn(home: Home, host: string): Promise<void> {
  expect(
    await home.on(
      host,
      `ls -d ${data} /etc/nixos/nixos-cache /etc/nixos-cache /run/nixos-cache* 2>/dev/null || :`,
    ),
  ).toBe("");
}
