import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostKind } from "../../dev/lab/host.ts";
import type { Lab } from "../../dev/lab/lab.ts";
import { login } from "./login.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await throwawayLab([
    "kalaw",
    { name: "pai", kind: "channel" },
    { name: "inle", kind: "no-git" },
  ]);
  await lab.up((line) => console.log(line));
});
afterAll(() => throwAway(lab));

const nixPath = "nixpkgs=/etc/nixpkgs:nixos-config=/etc/nixos/configuration.nix";
const ls = { git: ".git flake.nix", "no-git": "flake.nix", channel: "configuration.nix" };

describe.each<[host: string, kind: HostKind]>([
  ["kalaw", "git"],
  ["inle", "no-git"],
  ["pai", "channel"],
])("%s, made as %s", (host, kind) => {
  test("keeps its configuration in that way", async () => {
    const found = await login(lab, host, "cd /etc/nixos; ls -d .git flake.nix configuration.nix");
    expect(found.stdout.trim().split("\n").sort().join(" ")).toBe(ls[kind]);
    expect(lab.hosts).toEqual(["kalaw", "pai", "inle"]);
  });

  test("is switched by root and by people with sudo, and boots into what they made", async () => {
    const mark = (word: string) =>
      `printf '{ environment.etc.mark.text = "${word}"; }' > /etc/nixos/nixos-cache/default.nix
       test ! -e /etc/nixos/.git || git -C /etc/nixos add --intent-to-add nixos-cache`;
    const system = async (link: string) => (await lab.exec(host, ["readlink", "-f", link])).stdout;
    await login(lab, host, `mkdir /etc/nixos/nixos-cache; ${mark("by root")}`);
    const root = await login(lab, host, "nixos-rebuild switch");
    expect(root.stderr + root.code).toMatch(/0$/);
    expect((await login(lab, host, "cat /etc/mark")).stdout).toBe("by root");

    for (const person of ["fay", "zoe"]) {
      await login(lab, host, mark(`by ${person}`));
      const own = await login(lab, host, "sudo -n nixos-rebuild switch", person);
      expect(own.stderr + own.code).toMatch(/0$/);
      expect((await login(lab, host, "cat /etc/mark", person)).stdout).toBe(`by ${person}`);
    }

    await lab.reboot(host);
    expect(await system("/run/booted-system")).toBe(await system("/nix/var/nix/profiles/system"));
    expect((await login(lab, host, "cat /etc/mark", "fay")).stdout).toBe("by zoe");
  });
});

describe("the environment of", () => {
  const path = "/run/wrappers/bin:/run/current-system/sw/bin:";

  test.each(["root", "fay", "zoe"])("a login of %s, and of sudo in it", async (user) => {
    for (const sudo of ["", "sudo -n "]) {
      const { stdout } = await login(lab, "pai", `${sudo}printenv NIX_PATH PATH`, user);
      expect(stdout).toMatch(new RegExp(`^${nixPath}\n${path}`));
    }
  });

  test("lab.exec", async () => {
    const { stdout } = await lab.exec("pai", ["printenv", "NIX_PATH", "PATH"]);
    expect(stdout).toMatch(new RegExp(`^${nixPath}\n${path}`));
  });

  test("a unit of systemd, which as on NixOS has neither NIX_PATH nor HOME", async () => {
    const run = ["systemd-run", "--pipe", "--wait", "--quiet"];
    expect((await lab.exec("pai", [...run, "printenv", "NIX_PATH", "HOME"])).stdout).toBe("");
    const given = await lab.exec("pai", [...run, "--setenv=NIX_PATH", "printenv", "NIX_PATH"]);
    expect(given.stdout.trim()).toBe(nixPath);
  });
});

describe("the people", () => {
  test.each([
    ["fay", "fish", "echo $version $fish_pid"],
    ["zoe", "zsh", "echo $ZSH_VERSION $options[zle]"],
  ])("%s has %s", async (user, shell, words) => {
    const { stdout } = await login(lab, "kalaw", `${words}; echo $SHELL; pwd; id -Gn`, user);
    expect(stdout).toMatch(
      new RegExp(`^\\S+ \\S+\n/run/current-system/sw/bin/${shell}\n/home/${user}\nusers wheel\n$`),
    );
  });

  test("are root with sudo, which is a wrapper: nothing in the store is setuid", async () => {
    expect((await login(lab, "kalaw", "sudo -n id -u", "zoe")).stdout).toBe("0\n");
    expect((await login(lab, "kalaw", "command -v sudo", "zoe")).stdout).toBe(
      "/run/wrappers/bin/sudo\n",
    );
    const wrong = await login(lab, "kalaw", "/run/current-system/sw/bin/sudo -n id -u", "fay");
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("must be owned by uid 0 and have the setuid bit set");
  });

  test("do not wait for the end of their last session", async () => {
    for (let n = 0; n < 10; n++) {
      const start = Date.now();
      expect((await login(lab, "kalaw", "true", "fay")).code).toBe(0);
      expect(Date.now() - start).toBeLessThan(10_000);
    }
    const manager = await lab.exec("kalaw", ["systemctl", "is-active", "user@1000.service"]);
    expect(manager.stdout).toBe("active\n");
  });
});
