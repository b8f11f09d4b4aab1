import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";
import { useUserProjects } from "./user-project.ts";

const projects = useUserProjects("tarball");
const home = useHome();

test("on machines the example home brings a cache up, finds nothing to do, and takes it away", async () => {
  const { lab, stack } = home();
  const before = [await home().snapshot("kalaw"), await home().snapshot("pai")];
  const project = await projects().makeExample("home");
  let program = await readFile(join(project, "index.ts"), "utf8");
  for (const host of ["kalaw", "pai"]) {
    program = program
      .replace(`"${host}.lan"`, `"${lab.address(host)}"`)
      .replace(new RegExp(`"ssh-ed25519 .* root@${host}"`), `"${await lab.hostKey(host)}"`);
  }
  await writeFile(join(project, "index.ts"), program);
  const pulumi = (args: string[], stdin?: string) =>
    stack.run(["--cwd", project, ...args], stdin === undefined ? {} : { stdin });
  await pulumi(["stack", "init", "lab"]);
  await pulumi(
    ["config", "set", "--secret", "privateKey"],
    await readFile(lab.operatorKeyFile, "utf8"),
  );

  expect((await pulumi(["up", "--yes", "--skip-preview"])).stdout).toMatch(
    /Resources:\s+\+ 14 created/,
  );
  const fetched = await fetchPath(lab, "pai", await buildNewPath(lab, "kalaw"));
  expect(fetched.signedBy).toMatch(/^kalaw-/);

  await home().on("pai", "rm /var/lib/nixos-cache/nix.conf");
  const { stdout: preview } = await pulumi(["preview"]);
  expect(preview).toContain("pai has drifted: nix.conf is missing");
  await pulumi(["up", "--yes", "--skip-preview"]);
  expect((await pulumi(["preview", "--expect-no-changes"])).stdout).not.toContain("drifted");

  await pulumi(["destroy", "--yes", "--skip-preview"]);
  expect([await home().snapshot("kalaw"), await home().snapshot("pai")]).toEqual(before);
});
