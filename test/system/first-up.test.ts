import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { ownProtocol } from "../own-protocol.ts";
import { useHome } from "./home.ts";

const home = useHome();
let builtBefore: string;
let before: { kalaw: string; pai: string };
let generations: { kalaw: number; pai: number };

interface Deployed {
  type: string;
  urn: string;
  inputs?: { create?: string };
}

test("before the first up, pai has no way to a path that kalaw built", async () => {
  before = { kalaw: await home().snapshot("kalaw"), pai: await home().snapshot("pai") };
  generations = {
    kalaw: await home().generations("kalaw"),
    pai: await home().generations("pai"),
  };
  builtBefore = await buildNewPath(home().lab, "kalaw");
  const { code } = await home().tryOn("pai", `nix-store --realise ${builtBefore}`);
  expect(code).not.toBe(0);
});

test("up from nothing, with no more resources than designed, and five kinds of step", async () => {
  const { stdout: said } = await home().up();
  expect(said).toMatch(/Resources:\s+\+ 13 created/);
  const { stdout } = await home().stack.run(["stack", "export"]);
  const { resources } = JSON.parse(stdout).deployment as { resources: Deployed[] };
  const steps = resources.flatMap(({ type, urn, inputs = {} }) =>
    type === "command:remote:Command"
      ? [[urn.split("::").at(-1), /steps\/main\.sh (\S+) /.exec(inputs.create ?? "")?.[1]]]
      : [],
  );
  expect(Object.fromEntries(steps)).toEqual({
    "kalaw-settings": "settings",
    "kalaw-signing": "signing",
    "pai-authorization-kalaw": "authorize",
    "pai-settings": "settings",
    "pai-identity": "identity",
    "pai-access-kalaw": "access",
  });
});

test("which rebuilt each machine once", async () => {
  expect(await home().generations("kalaw")).toBe(generations.kalaw + 1);
  expect(await home().generations("pai")).toBe(generations.pai + 1);
});

test("pai fetches what kalaw built before the up, and what it builds after", async () => {
  for (const path of [builtBefore, await buildNewPath(home().lab, "kalaw")]) {
    const fetched = await fetchPath(home().lab, "pai", path);
    expect(fetched.copying).toBe(`copying path '${path}' from '${ownProtocol}://nix-ssh@kalaw'...`);
    expect(fetched.signedBy).toMatch(/^kalaw-\d{8}T\d{6}Z$/);
  }
});

test("a path without kalaw's signature is refused, and fetched once it is signed", async () => {
  // As kalaw built before it had a key. Root may tell the daemon to use none.
  const path = await buildNewPath(home().lab, "kalaw", ["--option", "secret-key-files", ""]);
  const refused = await home().tryOn("pai", `nix-store --realise ${path}`);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("not signed by any of the keys in 'trusted-public-keys'");

  await home().on(
    "kalaw",
    `nix store sign --key-file /var/lib/nixos-cache/secret/signing/newest ${path}`,
  );
  expect((await fetchPath(home().lab, "pai", path)).path).toBe(path);
});

test("a second up, and a preview, have nothing to do", async () => {
  await home().stack.run(["preview", "--expect-no-changes"]);
  const { stdout } = await home().up();
  expect(stdout).toMatch(/Resources:\s+13 unchanged/);
  expect(await home().generations("kalaw")).toBe(generations.kalaw + 1);
  expect(await home().generations("pai")).toBe(generations.pai + 1);
});

test("destroy takes everything away again, and both machines are as before", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  for (const host of ["kalaw", "pai"] as const) {
    expect(await home().snapshot(host)).toBe(before[host]);
  }
});
