import { randomBytes } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { useHome } from "./home.ts";

// Where a repository can be: kalaw's is /etc/nixos itself, of pai's it is a subfolder, inle's is a linked worktree, and
// mya's a submodule.
const places = {
  kalaw: "true",
  pai: `mkdir /srv/all && mv /etc/nixos /srv/all/ && mv /srv/all/nixos/.git /srv/all/ && ln -s /srv/all/nixos /etc/nixos
    cd /srv/all && git add --all`,
  inle: `mv /etc/nixos /srv/repository && cd /srv/repository && branch=$(git symbolic-ref --short HEAD) &&
    git checkout -q --detach && git worktree add -q /etc/nixos $branch`,
  mya: `mv /etc/nixos /srv/nixos && git init -q /srv/all && cd /srv/all &&
    git -c protocol.file.allow=always submodule --quiet add /srv/nixos nixos && ln -s /srv/all/nixos /etc/nixos`,
};
const hosts = Object.keys(places) as (keyof typeof places)[];
const home = useHome(hosts);
/** What is in the files that git does not know: one is ignored, one is not. */
const needle = randomBytes(16).toString("hex");

beforeAll(async () => {
  for (const host of hosts) {
    const git = "git -c user.name=owner -c user.email=owner@lab";
    await home().on(
      host,
      `set -e
       ${places[host]}
       cd /etc/nixos/. && echo '*.key' >.gitignore && ${git} add --all :/ && ${git} commit -q -m "Ignore keys"
       umask 077 && cat >secret.key && cp secret.key untracked.secret`,
      needle,
    );
  }
  await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
  await home().set("servers.kalaw.onlyOurs", "true");
  for (const client of hosts.slice(1)) await home().set(`clients.${client}.onlyOurs`, "true");
});

/** Where it is on the hosts besides in these files. */
async function found(): Promise<string[]> {
  const everywhere = await Promise.all(
    hosts.map(async (host) => {
      const { stdout } = await home().tryOn(
        host,
        `grep -rlsF --devices=skip ${needle} /nix/store /nix/var /run /tmp /var /root /boot /etc /srv`,
      );
      return stdout
        .split("\n")
        .filter((file) => file !== "" && !/\/(secret\.key|untracked\.secret)$/.test(file))
        .map((file) => `${host}: ${file}`);
    }),
  );
  return everywhere.flat();
}

test.each([
  ["a preview with the plan of each machine", ["preview"]],
  ["the first update, which evaluates without its own change too", ["up", "--yes"]],
  ["a destroy", ["destroy", "--yes", "--skip-preview"]],
])("what git does not know stays where it is: %s", async (_, words) => {
  await home().stack.run(words);
  expect(await found()).toEqual([]);
});

test("and where git cannot say what it knows, nothing is copied", async () => {
  await home().on(
    "kalaw",
    "mv /etc/nixos/.git /srv/moved && echo 'gitdir: /srv/gone' >/etc/nixos/.git",
  );
  const { stdout, stderr } = await home().stack.attempt(["preview"]);
  expect(stdout + stderr).toContain("git cannot read the repository in /etc/nixos");
  expect(await home().failingUp()).toContain("git cannot read the repository in /etc/nixos");
  expect(await found()).toEqual([]);
});
