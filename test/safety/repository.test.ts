import { beforeAll, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";

// Where people have their repository: kalaw's is root's, elsewhere, where flake.nix in /etc/nixos is a link to, with a
// detached head and git's own folder apart; pai's is fay's, in their home, and open to nobody else; inle's configuration
// is a part of zoe's.
const home = useHome(["kalaw", "pai", "inle"]);
const owners = { kalaw: "root", pai: "fay", inle: "zoe" } as const;
const hosts = ["kalaw", "pai", "inle"] as const;
const folders = { kalaw: "/srv/nixos", pai: "/etc/nixos", inle: "/etc/nixos" } as const;
const before = new Map<string, string>();

const moved = {
  kalaw: `mv /etc/nixos /srv/ && mkdir /etc/nixos && ln -s /srv/nixos/flake.nix /etc/nixos/ &&
    git init -q --separate-git-dir /srv/nixos.git /srv/nixos`,
  pai: "mv /etc/nixos /home/fay/ && ln -s /home/fay/nixos /etc/nixos",
  inle: `mkdir /home/zoe/all && mv /etc/nixos /home/zoe/all/ && ln -s /home/zoe/all/nixos /etc/nixos &&
    mv /etc/nixos/.git /home/zoe/all/`,
};
const committed = `cp hosts/$(hostname).nix hosts/desk.nix && git add :/ &&
  git -c user.name=owner -c user.email=owner@lab commit -q -m "A desk"`;
// Of every sort that git tells apart, and a lock file that Nix would write anew.
const uncommitted = `
  echo '# modified' >>base.nix
  echo '# staged' >>network.nix && git add network.nix && echo '# and modified' >>network.nix
  echo '{ }' >new.nix && git add new.nix
  echo '{ }' >meant.nix && git add --intent-to-add meant.nix
  echo '{ }' >untracked.nix
  git mv hosts/desk.nix hosts/table.nix
  rm flake.lock`;
const owned = {
  kalaw: "git checkout -q --detach",
  pai: "chown -R fay: /home/fay/nixos && chmod -R go= /home/fay/nixos/.git",
  inle: "chown -R zoe: /home/zoe/all",
};

/** What git says of everything that is not ours, and who may do what in the repository. */
async function repository(host: (typeof hosts)[number]): Promise<string> {
  const git = `runuser -u ${owners[host]} -- git --no-optional-locks -C ${folders[host]}`;
  return home().on(
    host,
    `${git} status --porcelain --branch --untracked-files=all | grep -v nixos-cache
     ${git} ls-files --stage | grep -v nixos-cache
     ${git} rev-parse HEAD && ${git} symbolic-ref HEAD
     ${git} diff --cached | grep -v nixos-cache
     ${git} stash list && ${git} reflog
     find ${folders[host]}/ $(${git} rev-parse --absolute-git-dir) -path '*/nixos-cache' -prune -o -printf '%M %u:%g %p\\n' | sort`,
  );
}

const asBefore = async () => {
  for (const host of hosts) expect(await repository(host)).toBe(before.get(host));
};

beforeAll(async () => {
  for (const host of hosts) {
    await home().on(
      host,
      [moved[host], `cd ${folders[host]}`, committed, uncommitted, owned[host]].join("\n"),
    );
    before.set(host, await repository(host));
  }
});

test("up", async () => {
  await home().up();
  await asBefore();
  for (const host of hosts) {
    expect(
      await home().on(
        host,
        `git -c safe.directory='*' --no-optional-locks -C ${folders[host]} status --porcelain -uall nixos-cache`,
      ),
    ).toMatch(/^( A (nixos\/)?nixos-cache\/\S+\n?)+$/);
    expect(await home().on(host, `stat -c %U ${folders[host]}/nixos-cache/* | sort -u`)).toBe(
      owners[host],
    );
  }
  const path = await buildNewPath(home().lab, "kalaw");
  for (const client of ["pai", "inle"]) await fetchPath(home().lab, client, path);
});

test("new keys", async () => {
  await home().stack.run(["config", "set", "nixos-cache:rotation", "2"]);
  await home().up();
  await asBefore();
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("a rebuild that fails", async () => {
  for (const host of hosts)
    await home().on(
      host,
      `cp -p ${folders[host]}/hosts/$(hostname).nix /run/ && echo '{' >>${folders[host]}/hosts/$(hostname).nix`,
    );
  await home().set("servers.kalaw.onlyOurKeys", "true");
  for (const client of ["pai", "inle"]) await home().set(`clients.${client}.priority`, "3");
  expect(await home().failingUp()).toContain("does not build, nothing was switched");
  for (const host of hosts)
    await home().on(host, `cat /run/$(hostname).nix >${folders[host]}/hosts/$(hostname).nix`);
  await asBefore();
  await home().up();
  await asBefore();
});

test("files that git lost are shown to it again, and it alone", async () => {
  for (const host of hosts)
    await home().on(
      host,
      `runuser -u ${owners[host]} -- git -C ${folders[host]} reset -q -- nixos-cache`,
    );
  const { stdout } = await home().stack.run(["preview"]);
  for (const host of hosts)
    expect(stdout).toMatch(
      new RegExp(
        `${host} has drifted: default.nix [a-z. -]+ hidden from Nix: git does not know it`,
      ),
    );
  await home().up();
  await asBefore();
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("the owner as the operator", async () => {
  await home().set("clients.pai.connection.user", "fay");
  await home().set("clients.pai.priority", "4");
  await home().up();
  await asBefore();
});

test("destroy", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  await asBefore();
  for (const host of hosts) await home().on(host, `test ! -e ${folders[host]}/nixos-cache`);
});
