import { beforeEach, expect, test } from "vitest";
import { until } from "../../dev/lab/until.ts";
import { standInHost } from "./stand-in-host.ts";

const host = standInHost();
const current = () => host.ok("readlink -f /run/current-system");
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPQUeKD00Z5e9LmeoHR2oqlTP9i3qMLE3Pc/YEfxQoeL pai";

/** Makes `text` the module nixos-cache, in the place and the way that `pulumi up` does. */
const write = (text: string) =>
  host.ok(`cd /etc/nixos
    mkdir -p nixos-cache
    cat > nixos-cache/default.nix <<'EOF'\n${text}\nEOF
    git add --intent-to-add nixos-cache`);

const serving = `{ ... }: {
  nix.sshServe = { enable = true; keys = [ "${key}" ]; };
  services.openssh.extraConfig = "Match User nix-ssh\\n  RevokedKeys /etc/hostname\\nMatch All";
  environment.etc."nixos-cache/marker".text = "here";
}`;

beforeEach(async () => {
  await host.ok("rm -rf /etc/nixos/nixos-cache; git -C /etc/nixos reset --quiet --hard");
  await host.ok("nixos-rebuild switch");
});

test("a host is a git flake that is built without network, its lock file complete", async () => {
  expect(await host.ok("git -C /etc/nixos status --porcelain")).toBe("");
  expect(await host.ok("git -C /etc/nixos log --oneline | wc -l")).toBe("1");
  expect(await host.ok("systemctl is-system-running")).toBe("running");
  expect(await host.ok("command -v nixos-rebuild")).toBe(
    "/run/current-system/sw/bin/nixos-rebuild",
  );
});

test("sshServe comes with its switch and goes with it, and the system is the same as before", async () => {
  const before = await current();
  const passwd = await host.ok("cat /etc/passwd /etc/group");
  await write(serving);
  await host.ok("nixos-rebuild switch");

  expect(await current()).not.toBe(before);
  expect(await host.ok("readlink -f /nix/var/nix/profiles/system")).toBe(await current());
  expect(await host.ok("getent passwd nix-ssh")).toMatch(
    /^nix-ssh:x:\d+:\d+:[^:]*:\/var\/empty:\/bin\/bash$/,
  );
  expect(await host.ok("cat /etc/ssh/authorized_keys.d/nix-ssh")).toBe(key);
  expect(await host.ok("stat -c '%F %a' /etc/ssh/authorized_keys.d/nix-ssh")).toBe(
    "regular file 444",
  );
  const sshd = await host.ok("sshd -T -C user=nix-ssh");
  const command = /^forcecommand (\/nix\/store\/\S+)$/im.exec(sshd)?.[1];
  expect(await host.ok(`tail -n 1 ${command}`)).toMatch(
    /^exec \/nix\/store\/\S+\/bin\/nix-store --serve *$/,
  );
  expect(sshd).toMatch(/^revokedkeys \/etc\/hostname$/im);
  for (const off of ["permittty", "allowtcpforwarding", "allowagentforwarding", "permittunnel"])
    expect(sshd).toMatch(new RegExp(`^${off} no$`, "im"));
  expect(await host.ok("sshd -T -C user=root")).toMatch(/^forcecommand none$/im);
  expect(await host.ok("cat /etc/nixos-cache/marker")).toBe("here");

  await host.ok("cd /etc/nixos; rm -r nixos-cache; git reset --quiet");
  await host.ok("nixos-rebuild switch");
  expect(await current()).toBe(before);
  expect(await host.ok("cat /etc/passwd /etc/group")).toBe(passwd);
  expect(
    await host.ok("ls -d /etc/nixos-cache /etc/ssh/authorized_keys.d/nix-ssh 2>&1 || :"),
  ).not.toMatch(/^\//m);
});

test("nix-ssh reads the store over ssh, through the keys of NixOS, and gets no shell", async () => {
  await host.ok("rm -f k k.pub; ssh-keygen -q -t ed25519 -N '' -f k");
  await write(
    serving.replace(key, await host.ok("cat k.pub")).replace("/etc/hostname", "/dev/null"),
  );
  await host.ok("nixos-rebuild switch");
  const ssh =
    "ssh -i k -o StrictHostKeyChecking=no -o BatchMode=yes -o LogLevel=ERROR nix-ssh@localhost";
  expect((await host.sh(`${ssh} id < /dev/null`)).stdout).not.toContain("uid=");
  const options = "-i /root/k -o StrictHostKeyChecking=no -o LogLevel=ERROR";
  const path = `$(readlink -f /run/current-system)`;
  expect(
    await host.ok(`NIX_SSHOPTS='${options}' nix path-info --store ssh://nix-ssh@localhost ${path}`),
  ).toBe(await current());
});

test("the client's side: ssh's part before Host *, known hosts, substituters", async () => {
  await write(`{ lib, ... }: {
    programs.ssh.extraConfig = "Match host kalaw user nix-ssh\\n  IdentityFile /key\\nMatch all";
    programs.ssh.knownHosts.kalaw = { extraHostNames = [ "10.0.0.1" ]; publicKey = "${key}"; };
    nix.settings.substituters = [ "ssh://nix-ssh@kalaw" ];
    nix.settings.trusted-public-keys = [ "kalaw-1:pJJrhTmfdlNV3Nrfkq2Ev9UlYXmLfo7Yhj1i1Gxx2CE=" ];
    nix.settings.fallback = true;
  }`);
  await host.ok("nixos-rebuild switch");
  const ssh = await host.ok("cat /etc/ssh/ssh_config");
  expect(ssh.indexOf("Match host kalaw")).toBeLessThan(ssh.indexOf("Host *"));
  expect(await host.ok("cat /etc/ssh/ssh_known_hosts")).toBe(`kalaw,10.0.0.1 ${key}`);
  const nix = await host.ok("cat /etc/nix/nix.conf");
  expect(nix).toMatch(/^substituters = ssh:\/\/nix-ssh@kalaw$/m);
  expect(nix).toMatch(/^trusted-public-keys = cache.nixos.org-1:\S+ kalaw-1:\S+$/m);
  expect(nix).toMatch(/^fallback = true$/m);
  const daemon = await host.ok(
    "tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID nix-daemon)/environ",
  );
  const path = /^PATH=(.*)$/m
    .exec(daemon)?.[1]
    ?.split(":")
    .map((folder) => folder.replace(/^[^-]+-/, ""));
  expect(path).toEqual([
    expect.stringMatching(/^nix-/),
    expect.stringMatching(/^util-linux-/),
    expect.stringMatching(/^openssh-/),
  ]);
});

test.each([
  [
    "an unknown option",
    "{ services.nginx.enable = true; }",
    "The option `services.nginx' does not exist. Definition values:",
  ],
  [
    "a failed assertion",
    '{ assertions = [ { assertion = false; message = "not so"; } ]; }',
    "Failed assertions:\n- not so",
  ],
  [
    "what sshd refuses",
    '{ services.openssh.extraConfig = "Nonsense yes"; }',
    // Of a line that ends with a carriage return, as sshd's do, newer versions of Nix show nothing.
    "-check-sshd-config.drv'",
  ],
  ["what sudo refuses", '{ security.sudo.extraConfig = "nonsense"; }', "syntax error"],
  [
    "a login shell that is not set up",
    "{ lib, ... }: { programs.fish.enable = lib.mkForce false; }",
    "users.users.fay.shell is set to fish, but\nprograms.fish.enable is not true.",
  ],
  ["what Nix refuses", "{ nix.settings.nonsense = 1; }", "unknown setting 'nonsense'"],
  ["a syntax error", "{ oops", "syntax error, unexpected end of file"],
])("refuses %s, and nothing is switched", async (_, module, message) => {
  const before = await current();
  const generations = await host.ok("nixos-rebuild list-generations");
  await write(module);
  const { code, stderr } = await host.sh("nixos-rebuild switch");
  expect(code).toBe(1);
  expect(stderr.replace(/^ {7}/gm, "")).toContain(message);
  expect(await current()).toBe(before);
  expect(await host.ok("nixos-rebuild list-generations")).toBe(generations);
});

test("warnings are shown and change nothing", async () => {
  const before = await current();
  await write('{ warnings = [ "mind the gap" ]; }');
  const { stderr, code } = await host.sh("nixos-rebuild test");
  expect(code).toBe(0);
  expect(stderr).toContain("evaluation warning: mind the gap");
  expect(await current()).toBe(before);
});

test("build leaves a link and switches nothing; dry-activate says which units would restart", async () => {
  const before = await current();
  await write(serving);
  await host.ok("rm -f result; nixos-rebuild build");
  expect(await host.ok("readlink -f result")).not.toBe(before);
  expect(await host.ok("ls result/")).toMatch(
    /^activate\n(.*\n)*bin\netc\n(.*\n)*nixos-version\n(.*\n)*specialisation\nsw\nsystem\n?/,
  );
  const { stderr } = await host.sh("nixos-rebuild dry-activate");
  expect(stderr).toContain("would restart the following units: sshd.service\n");
  expect(await current()).toBe(before);
  expect(await host.ok("getent passwd nix-ssh || echo none")).toBe("none");
});

test.each([
  ["a reboot", host.reboot],
  ["a power cut", host.powerCycle],
])("a tested configuration is gone after %s, also one without sshd", async (_, restart) => {
  const before = await current();
  await write("{ lib, ... }: { services.openssh.enable = lib.mkForce false; }");
  await host.ok("nixos-rebuild test");
  expect((await host.sh("systemctl is-active sshd")).stdout.trim()).toBe("inactive");
  expect(await host.ok("readlink -f /nix/var/nix/profiles/system")).toBe(before);
  await restart();
  expect(await current()).toBe(before);
  expect(await host.ok("readlink -f /run/booted-system")).toBe(before);
  expect(await host.letsIn()).toBe(true);
});

// As a firewall would: what comes in is heard, and no answer goes out.
const shutOut = `{ pkgs, ... }: {
  systemd.services.shut-out = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "\${pkgs.iproute2}/bin/ip route add 192.0.2.1 via 192.0.2.254";
      ExecStop = "\${pkgs.iproute2}/bin/ip route del 192.0.2.1";
    };
  };
}`;

test.each([
  ["turns sshd off", "{ lib, ... }: { services.openssh.enable = lib.mkForce false; }", 0, false],
  [
    "turns sshd off, which sshServe turns on",
    "{ lib, ... }: { nix.sshServe.enable = true; services.openssh.enable = lib.mkForce false; }",
    0,
    false,
  ],
  ["moves sshd to another port", "{ services.openssh.ports = [ 2222 ]; }", 0, false],
  ["lets root in no more", '{ services.openssh.settings.PermitRootLogin = "no"; }', 0, false],
  ["shuts the operator out", shutOut, 0, false],
  ["fails half-way", '{ system.activationScripts.half = "exit 1"; }', 2, true],
])(
  "the old system, called by its path, undoes a switch that %s",
  async (_, module, code, letsIn) => {
    const old = await current();
    const before = await host.ok("sshd -T; ip route; systemctl list-units --failed --no-legend");
    await write(module);
    await host.ok("rm -f result; nixos-rebuild build");
    expect((await host.sh("./result/bin/switch-to-configuration test")).code).toBe(code);
    expect(await current()).not.toBe(old);
    expect(await host.letsIn()).toBe(letsIn);

    await host.ok(`${old}/bin/switch-to-configuration test`);
    expect(await host.letsIn()).toBe(true);
    expect(await current()).toBe(old);
    expect(await host.ok("sshd -T; ip route; systemctl list-units --failed --no-legend")).toBe(
      before,
    );
  },
);

test("the network that a tested configuration changed is whole after a power cut", async () => {
  await write(shutOut);
  await host.ok("nixos-rebuild test");
  expect(await host.letsIn()).toBe(false);
  await host.powerCycle();
  expect(await host.letsIn()).toBe(true);
});

test("a unit that failed and is gone is forgotten", async () => {
  await write(
    '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; script = "exit 3"; serviceConfig.Type = "oneshot"; }; }',
  );
  const { code, stderr } = await host.sh("nixos-rebuild test");
  expect(code).toBe(4);
  expect(stderr).toMatch(
    /\nCommand '\[.*\/bin\/switch-to-configuration', 'test'\]' returned non-zero exit status 4\.\n$/,
  );
  expect(await host.ok("systemctl is-system-running || :")).toBe("degraded");
  await host.ok("/nix/var/nix/profiles/system/bin/switch-to-configuration test");
  expect(await host.ok("systemctl is-system-running")).toBe("running");
});

test("nixos-rebuild refuses to switch beside another one, and beside any other switch", async () => {
  // A switch that stands still in its activation until its file is taken away.
  await write(
    '{ system.activationScripts.hold = "while [ -e /run/hold ]; do echo > /run/held; sleep 0.1; done"; }',
  );
  await host.ok("rm -f result; nixos-rebuild build");
  const beside = async (switching: string, words: string, status: number) => {
    await host.ok("touch /run/hold; rm -f /run/held");
    const first = host.sh(switching);
    await until(async () => (await host.sh("test -e /run/held")).code === 0, {
      seconds: 60,
      otherwise: "the first switch does not begin",
    });
    const { code, stderr } = await host.sh("nixos-rebuild test");
    await host.ok("rm /run/hold");
    expect((await first).code).toBe(0);
    expect(code).toBe(status);
    expect(stderr).toContain(words);
  };
  await beside(
    "nixos-rebuild switch",
    "Unit nixos-rebuild-switch-to-configuration.service was already loaded",
    1,
  );
  await beside("exec ./result/bin/switch-to-configuration test", "Could not acquire lock", 11);
});

test("boot is for the next boot only, and a switch stays", async () => {
  const before = await current();
  await write(serving);
  await host.ok("nixos-rebuild boot");
  expect(await current()).toBe(before);
  await host.reboot();
  expect(await current()).toBe(await host.ok("readlink -f /nix/var/nix/profiles/system"));
  expect(await host.ok("id -un nix-ssh")).toBe("nix-ssh");
});

test("rollback goes to the generation before", async () => {
  const before = await current();
  await write(serving);
  await host.ok("nixos-rebuild switch");
  await host.ok("nixos-rebuild switch --rollback");
  expect(await current()).toBe(before);
  expect(await host.ok("readlink -f /nix/var/nix/profiles/system")).toBe(before);
  expect(await host.ok("getent passwd nix-ssh || echo none")).toBe("none");
});

test("a failing activation exits with 2, a failing unit with 4, two switches at once with 11", async () => {
  await write('{ system.activationScripts = { a = "false"; b = "touch /run/after"; }; }');
  await host.ok("rm -f result; nixos-rebuild build");
  const half = await host.sh("./result/bin/switch-to-configuration test");
  expect(half.code).toBe(2);
  expect(half.stderr).toContain(
    "Activation script snippet 'activationScripts' failed\nFailed to run activate script\n",
  );
  await host.ok("test -e /run/after");
  await write(
    '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; script = "exit 3"; serviceConfig.Type = "oneshot"; }; }',
  );
  await host.ok("rm -f result; nixos-rebuild build");
  const failed = await host.sh("./result/bin/switch-to-configuration test");
  expect(failed.code).toBe(4);
  expect(failed.stderr).toContain("warning: the following units failed: broken.service");
  const locked = await host.sh(
    "flock /run/nixos/switch-to-configuration.lock ./result/bin/switch-to-configuration test",
  );
  expect(locked.code).toBe(11);
  expect(locked.stderr).toContain("Could not acquire lock");
});

test("a switch to another init exits with 100 and four lines, of which the last is empty", async () => {
  const before = await current();
  await write("{ pkgs, ... }: { systemd.package = pkgs.systemd // { interfaceVersion = 3; }; }");
  await host.ok("rm -f result; nixos-rebuild build");
  const { code, stderr } = await host.sh("./result/bin/switch-to-configuration test");
  expect(code).toBe(100);
  expect(stderr.split("\n")).toEqual([
    "Warning: the new NixOS configuration has an ‘init’ that is",
    "incompatible with the current configuration.  The new configuration",
    "won't take effect until you reboot the system.",
    "",
    "",
  ]);
  expect(await current()).toBe(before);
});

test("a pre-switch check is made under the lock; one that refuses ends the switch, unless it is left out", async () => {
  const before = await current();
  await write(
    '{ system.preSwitchChecks.no = "! flock -n /run/nixos/switch-to-configuration.lock true && exit 1"; }',
  );
  await host.ok("rm -f result; nixos-rebuild build");
  const { code, stderr } = await host.sh("./result/bin/switch-to-configuration test");
  expect(code).toBe(1);
  expect(stderr).toBe("Pre-switch checks failed\n");
  expect(await current()).toBe(before);
  await host.ok("NIXOS_NO_CHECK=1 ./result/bin/switch-to-configuration test");
  expect(await current()).not.toBe(before);
});

test("a user's manager that does not answer makes 4, and no unit has failed", async () => {
  await host.ok(
    "loginctl enable-linger fay; until systemctl is-active -q user@$(id -u fay); do :; done; systemctl stop user@$(id -u fay)",
  );
  await write(serving);
  const { code, stderr } = await host.sh("nixos-rebuild test");
  await host.ok("loginctl disable-linger fay; systemctl start user@$(id -u fay)");
  expect(code).toBe(4);
  expect(stderr).toContain("reloading user units for fay...\n");
  expect(stderr).toContain("warning: user activation for fay failed\n");
  expect(stderr).not.toContain("units failed");
});

test("what a change of a unit does is the unit's choice, and is said in NixOS' words", async () => {
  const units = (words: string) => `{ systemd.services = builtins.mapAttrs
    (_: rest: { wantedBy = [ "multi-user.target" ]; description = "${words}";
      serviceConfig = { ExecStart = "/bin/sleep infinity"; ExecReload = "/bin/true"; }; } // rest)
    { one = { }; two.stopIfChanged = false; three.restartIfChanged = false; four.reloadIfChanged = true; }; }`;
  const said = async (action: string) =>
    (await host.sh(`nixos-rebuild ${action}`)).stderr
      .split("\n")
      .filter((line) => / units( were started)?: /.test(line) || line.startsWith("activating"));
  await write(units("before"));
  expect(await said("test")).toEqual([
    "activating the configuration...",
    "the following new units were started: four.service, one.service, three.service, two.service",
  ]);
  await write(units("after"));
  expect(await said("dry-activate")).toEqual([
    "would stop the following units: one.service",
    "would NOT stop the following changed units: three.service",
    "would reload the following units: four.service",
    "would restart the following units: two.service",
    "would start the following units: one.service",
  ]);
  expect(await said("test")).toEqual([
    "stopping the following units: one.service",
    "NOT restarting the following changed units: three.service",
    "activating the configuration...",
    "reloading the following units: four.service",
    "restarting the following units: two.service",
    "starting the following units: one.service",
  ]);
});

test("sshd may be started when it is needed, and have its host key elsewhere", async () => {
  const listening = () => host.ok("systemctl is-active sshd.socket sshd.service || :");
  const keys = "/srv/ssh/ssh_host_ed25519_key";
  await host.ok(`mkdir -p /srv/ssh; cp -p /etc/ssh/ssh_host_ed25519_key /srv/ssh/`);
  await write(`{ services.openssh.startWhenNeeded = true;
    services.openssh.hostKeys = [ { type = "ed25519"; path = "${keys}"; } ]; }`);
  await host.ok("nixos-rebuild switch");
  expect(await listening()).toBe("active\ninactive");
  expect(await host.letsIn()).toBe(true);
  expect(await host.ok("sshd -T")).toMatch(new RegExp(`^hostkey ${keys}$`, "im"));
  await host.reboot();
  expect(await host.letsIn()).toBe(true);

  await host.ok("rm -rf /etc/nixos/nixos-cache; git -C /etc/nixos reset --quiet --hard");
  await host.ok("nixos-rebuild switch");
  expect(await listening()).toBe("inactive\nactive");
  expect(await host.letsIn()).toBe(true);
});

test("a session survives the restart of sshd", async () => {
  await host.ok(
    "rm -f k k.pub; ssh-keygen -q -t ed25519 -N '' -f k; cat k.pub >> .ssh/authorized_keys",
  );
  await write(serving);
  const ssh = "ssh -i k -o StrictHostKeyChecking=no -o BatchMode=yes root@localhost";
  expect(
    await host.ok(`${ssh} 'nixos-rebuild switch > log 2>&1 && echo "$PATH" still here'`),
  ).toMatch(/^\/run\/wrappers\/bin:.* still here$/);
  expect(await host.ok("cat log")).toContain("sshd.service");
});

test("an ordinary derivation is built in a sandbox, from nixpkgs and from the flake", async () => {
  const build = `nix build --no-link --print-out-paths --impure --expr`;
  const path = await host.ok(
    `${build} 'with import <nixpkgs> { }; runCommand "hello" { nativeBuildInputs = [ git ]; } "git --version > $out; ls /etc >> $out; id -u >> $out"'`,
  );
  const lines = (await host.ok(`cat ${path}`)).split("\n");
  expect(lines[0]).toMatch(/^git version/);
  expect(lines).not.toContain("nixos");
  const program = await host.ok(
    `${build} 'with import /etc/nixpkgs { }; writeShellApplication { name = "x"; runtimeInputs = [ coreutils ]; text = "printenv PATH"; }'`,
  );
  expect(await host.ok(`${program}/bin/x`)).toMatch(/^\/nix\/store\/[^:]*-coreutils-[^:]*\/bin:/);
});

test("--no-flake builds configuration.nix, or what -I says, although there is a flake", async () => {
  const built = (options: string) =>
    host.ok(`nixos-rebuild build ${options} > log; readlink -f result`);
  const imports = "/etc/nixos/base.nix /etc/nixos/network.nix /etc/nixos/hosts/inle.nix";
  const other = `imports = [ ${imports} ]; environment.etc.other.text = "x";`;
  await host.ok(`echo '{ imports = [ ${imports} ]; }' > /etc/nixos/configuration.nix
    echo '{ ${other} }' > other.nix`);
  expect(await built("--no-flake")).toBe(await current());
  expect(await built("-v --flake /etc/nixos#inle")).toBe(await current());
  await built("--no-flake -v -I nixos-config=/root/other.nix");
  expect(await host.ok("cat result/etc/other")).toBe("x");

  // NIXOS_CONFIG comes before what -I says.
  await host.ok(`export NIXOS_CONFIG=/etc/nixos/configuration.nix
    nixos-rebuild build --no-flake -I nixos-config=/root/other.nix`);
  expect(await host.ok("readlink -f result")).toBe(await current());

  // A file that is a whole system, by its name or in its place, comes before both.
  await host.ok("echo 'import <nixpkgs/nixos> { configuration = /root/other.nix; }' > system.nix");
  await built("--file system.nix");
  expect(await host.ok("cat result/etc/other")).toBe("x");
  await host.ok("mv system.nix /etc/nixos/system.nix");
  expect(await built("")).toBe(await current());
  await built("--no-flake");
  expect(await host.ok("cat result/etc/other")).toBe("x");
  await host.ok("rm /etc/nixos/configuration.nix /etc/nixos/system.nix other.nix");
});
