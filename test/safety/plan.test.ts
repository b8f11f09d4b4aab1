import { expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";

const home = useHome();

/** Runs a preview, which has to succeed. @returns what it says of each machine's plan, and all that it says */
async function preview(...args: string[]) {
  const { stdout, stderr } = await home().stack.run(["preview", ...args]);
  const entries = stdout.split("\nDiagnostics:")[1]?.split("\n\n") ?? [];
  const plan = (title: string) =>
    entries
      .find((entry) => entry.includes(`plan for ${title}`))
      ?.split("\n")
      .filter((line) => line.startsWith("    "))
      // Every line but the first is marked as the machine's.
      .map((line, i) => line.slice(4).replace(i === 0 ? "" : /^\| /, ""))
      .join("\n") ?? "";
  return { kalaw: plan("kalaw (server)"), pai: plan("pai (client)"), all: stdout + stderr };
}

/** All that a plan could change, or leave behind, on either machine. */
function everything(): Promise<string[]> {
  const { lab } = home();
  return Promise.all(
    lab.hosts.map(
      async (host) =>
        (await home().snapshot(host)) +
        (await home().on(
          host,
          `ls -l /nix/var/nix/profiles/system* && readlink /boot/nixos-system && pidof sshd
           find /var/lib/nixos-cache /tmp /run/nixos* -type f ! -name nixos-rebuild.log | sort | xargs -r sha256sum`,
        )),
    ),
  );
}

/** A preview that changes nothing on the machines. */
async function lookingOn(...args: string[]) {
  const before = await everything();
  const plans = await preview(...args);
  expect(await everything()).toEqual(before);
  return plans;
}

/** A package of 100,000 bytes and more, as an expression of nixpkgs. */
const tool = (version: number) =>
  `pkgs.runCommand "tool-${version}.0" { } "mkdir -p $out/bin; head -c ${version}00000 /dev/zero >$out/bin/tool"`;
const withTool = (version: number) =>
  `{ pkgs, ... }: { environment.systemPackages = [ (${tool(version)}) ]; }`;

test("none, unless asked for", async () => {
  const { all } = await preview();
  expect(all).not.toContain("plan for");
  expect(all).toContain("The update would rebuild kalaw and pai.");
  await home().stack.run(["config", "set", "nixos-cache:plan", "true"]);
});

test("a first preview, on machines with nothing of ours", async () => {
  // dry-activate makes its folder, as on NixOS, if no switch has.
  for (const host of home().lab.hosts)
    await home().on(host, "mkdir -p /run/nixos && touch /run/nixos/switch-to-configuration.lock");
  const { kalaw, pai, all } = await lookingOn();
  expect(kalaw).toMatch(
    /^plan for kalaw \(server\): new system \/nix\/store\/\S+-nixos-system-kalaw-\S+\nthese \d+ derivations had to be built\n/,
  );
  expect(kalaw).toMatch(/\nunits:\n {2}would restart [^\n]*sshd\.service/);
  expect(all).toMatch(/\n *\| units:\n *\| {3}would restart /);
  expect(kalaw).not.toMatch(/edits|would activate the configuration/);
  // Its settings are known before any key is.
  expect(pai).toMatch(
    /^plan for pai \(client\): new system \S+\nthese \d+ derivations had to be built\n/,
  );
  await home().up();
});

test("without a change, the same system; and an update rebuilds nothing", async () => {
  const { kalaw, pai, all } = await lookingOn("--expect-no-changes");
  expect(all).toContain("The update would rebuild no machine.");
  expect(kalaw).toBe("plan for kalaw (server): the same system as now");
  expect(pai).toBe("plan for pai (client): the same system as now");
  const generations = () => Promise.all(home().lab.hosts.map((host) => home().generations(host)));
  const before = await generations();
  await home().up();
  expect(await generations()).toEqual(before);
});

test("a change of settings, as JSON and as a plan, which is what the update does", async () => {
  await home().set("clients.pai.priority", "30");
  const { pai } = await lookingOn();
  expect(pai).toMatch(
    /^plan for pai \(client\): new system \S+\nthese \d+ derivations had to be built\npackages: no change\nunits:\n {2}would restart the following units: nix-daemon\.service$/,
  );
  const { all } = await preview("--diff");
  expect(all).toMatch(/~ stdin *: \(json\) \{[^}]*~ kalaw: \{[^}]*[~+-] priority *: [^\n]*30\n/);
  expect(all).toContain("plan for pai (client): new system");
  await home().up();
  expect(await home().on("pai", "readlink -f /run/current-system")).toBe(
    pai.match(/new system (\S+)/)?.[1],
  );
});

test("an owner's edits, and what comes with them: a package added, changed, removed", async () => {
  await editBy(home(), "pai", withTool(1));
  const alone = await lookingOn();
  expect(alone.pai).toMatch(
    /new system \S+\nthese \d+ derivations had to be built\nbut no rebuild for it: it differs only by edits/,
  );
  await home().set("clients.pai.priority", "31");
  const { pai: added } = await preview();
  expect(added).toMatch(
    /\nthis change may also activate edits of this machine's configuration: \S+ edited since [\d: -]+\n/,
  );
  expect(added).toMatch(/\npackages:\n(.*\n)* {2}tool: ∅ → 1\.0, \+9\d\.\d KiB\n/);
  await home().up();

  // What kalaw has built, pai need not.
  await home().on(
    "kalaw",
    "nix-build --no-out-link -",
    `let pkgs = import /etc/nixpkgs { }; in ${tool(2)}`,
  );
  await editBy(home(), "pai", withTool(2));
  await home().set("clients.pai.priority", "32");
  const { pai: changed } = await preview();
  expect(changed).toMatch(/\n(this path|these 1 paths) had to be fetched \(/);
  expect(changed).toMatch(/\npackages:\n(.*\n)* {2}tool: 1\.0 → 2\.0, \+9\d\.\d KiB\n/);

  await editBy(home(), "pai");
  const { pai: removed } = await preview();
  expect(removed).toMatch(/\npackages:\n(.*\n)* {2}tool: 1\.0 → ∅, -9\d\.\d KiB\n/);

  // Where nvd is there, in its words.
  const nvd = "/usr/local/bin/nvd";
  await home().on("pai", `printf '#!/bin/sh\\necho "[R.] tool $*"' >${nvd} && chmod +x ${nvd}`);
  const { pai: inNvdsWords } = await preview();
  expect(inNvdsWords).toMatch(
    /\npackages:\n {2}\[R\.\] tool --color never diff \/nix\/store\/\S+ /,
  );
  await home().on("pai", `rm ${nvd}`);
});

test("one machine whose configuration does not build, and one that is off, fail no preview", async () => {
  await editBy(home(), "pai", "{ there.is.no = true; }");
  await home().lab.powerOff("kalaw");
  const { kalaw, pai } = await preview();
  expect(pai).toMatch(/warning: no plan for pai \(client\): the configuration does not build\n/);
  expect(pai).toContain("The option `there' does not exist");
  expect(kalaw).toMatch(
    /warning: no plan for kalaw \(server\): \S+ port 22 did not answer in time/,
  );
  await home().lab.powerOn("kalaw");
});

test("nor one that lacks the import line, nor one that builds in vain", async () => {
  const broken = `pkgs.runCommand "broken" { } "printf 'half \\\\033[31mred\\\\n'; exit 1"`;
  await editBy(home(), "pai", `{ pkgs, ... }: { environment.etc.fault.source = ${broken}; }`);
  await home().on("kalaw", "sed -i 's/^  imports = .*/  imports = [ ];/' /etc/nixos/base.nix");
  const { kalaw, pai } = await lookingOn();
  expect(pai).toMatch(
    /no plan for pai \(client\): the configuration does not build\n[\s\S]*broken/,
  );
  expect(kalaw).toMatch(/no plan for kalaw \(server\): .* does not import nixos-cache/);
});
