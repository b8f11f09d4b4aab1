import { stat } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Lab } from "../../dev/lab/lab.ts";
import { until } from "../../dev/lab/until.ts";
import { login } from "./login.ts";
import { throwAway, throwawayLab } from "./throwaway-lab.ts";

let lab: Lab;
const report = (line: string) => console.log(line);

beforeAll(async () => {
  lab = await throwawayLab();
  await lab.up(report);
});
afterAll(() => throwAway(lab));

/** When the host's first process started, in ticks: another number after every boot. */
async function bootTime(host: string): Promise<string> {
  return (await lab.exec(host, ["cut", "-d ", "-f22", "/proc/1/stat"])).stdout;
}

/** Whether `from` reaches `to` over the lab's network, by name. */
async function reaches(from: string, to: string): Promise<boolean> {
  const { code } = await lab.exec(from, ["ping", "-c", "1", "-W", "1", to]);
  return code === 0;
}

describe("up", () => {
  test("leaves all hosts running, booted without a failed unit", async () => {
    expect(await lab.status()).toEqual([
      { host: "kalaw", state: "running", address: "192.0.2.11" },
      { host: "pai", state: "running", address: "192.0.2.12" },
    ]);
    for (const host of lab.hosts) {
      const { stdout } = await lab.exec(host, ["systemctl", "is-system-running"]);
      expect(stdout).toBe("running\n");
    }
  });

  test("lets the operator in, with the lab's key and the host's known key", async () => {
    for (const host of lab.hosts) {
      const { stdout } = await login(lab, host, "hostname; cat /etc/ssh/ssh_host_ed25519_key.pub");
      const [name, key] = stdout.split("\n");
      expect(name).toBe(host);
      expect(key).toContain(await lab.hostKey(host));
    }
    expect((await stat(lab.operatorKeyFile)).mode & 0o777).toBe(0o600);
    expect(await lab.hostKey("kalaw")).not.toBe(await lab.hostKey("pai"));
  });

  test("has activated each host's NixOS configuration once", async () => {
    for (const host of lab.hosts) {
      const { stdout } = await lab.exec(host, ["readlink", "/nix/var/nix/profiles/system"]);
      expect(stdout).toBe("system-1-link\n");
    }
  });

  test("lets hosts build in the Nix sandbox", async () => {
    const expression =
      'derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; ' +
      'args = [ "-c" "echo made > $out" ]; }';
    const build = ["nix-build", "--no-out-link", "--option", "sandbox", "true"];
    const { code, stdout, stderr } = await lab.exec("kalaw", [...build, "-E", expression]);
    expect(stderr + code).toMatch(/building '.*-x\.drv'.*0$/s);
    expect((await lab.exec("kalaw", ["cat", stdout.trim()])).stdout).toBe("made\n");
  });

  test("does nothing to a lab that is whole", async () => {
    const before = await bootTime("pai");
    const start = Date.now();
    await lab.up(report);
    expect(Date.now() - start).toBeLessThan(20_000);
    expect(await bootTime("pai")).toBe(before);
  });
});

describe("exec", () => {
  test("passes arguments as they are, stdin, stdout, stderr and the exit status", async () => {
    const argv = ["sh", "-c", 'printf "%s|" "$@"; cat; echo oh >&2; exit 7', "sh"];
    const result = await lab.exec("pai", [...argv, "a b", `$HOME '"`, "", "--", "-x", "é\n"], {
      stdin: "in\0put",
    });
    expect(result).toEqual({ stdout: `a b|$HOME '"||--|-x|é\n|in\0put`, stderr: "oh\n", code: 7 });
  });

  test("runs as root, in root's home, on the host", async () => {
    const { stdout } = await lab.exec("pai", [
      "sh",
      "-c",
      "id -u; pwd; hostname; cat /proc/1/comm",
    ]);
    expect(stdout).toBe("0\n/root\npai\nsystemd\n");
  });

  test("says 127 for a command that is not there and 128 + n for signal n", async () => {
    expect((await lab.exec("pai", ["no-such-command"])).code).toBe(127);
    expect((await lab.exec("pai", ["sh", "-c", "kill -TERM $$"])).code).toBe(128 + 15);
  });

  test("names the hosts there are when asked for another", async () => {
    await expect(lab.exec("kalow", ["true"])).rejects.toThrow(
      "there is no host kalow: the lab has kalaw and pai",
    );
  });
});

test("a host that is cut is reached by nobody, still runs, and comes back when mended", async () => {
  expect(await reaches("pai", "kalaw")).toBe(true);
  await lab.cut("kalaw");
  expect(await reaches("pai", "kalaw")).toBe(false);
  expect((await login(lab, "kalaw", "true")).code).toBe(255);
  expect((await lab.status())[0]?.state).toBe("cut");
  expect((await lab.exec("kalaw", ["systemctl", "is-active", "sshd"])).stdout).toBe("active\n");

  await lab.mend("kalaw");
  await until(() => reaches("pai", "kalaw"), { seconds: 10, otherwise: "pai cannot ping kalaw" });
  expect((await login(lab, "kalaw", "true")).code).toBe(0);
  expect((await lab.status())[0]?.state).toBe("running");
});

test("a reboot is a new boot of the same host", async () => {
  const before = await bootTime("pai");
  await lab.exec("pai", ["touch", "/root/kept", "/run/not-kept"]);
  await lab.reboot("pai");
  expect(await bootTime("pai")).not.toBe(before);
  expect((await lab.exec("pai", ["ls", "/root/kept", "/run/not-kept"])).stdout).toBe(
    "/root/kept\n",
  );
  expect((await login(lab, "pai", "true")).code).toBe(0);
  expect(await reaches("pai", "kalaw")).toBe(true);
});

test("a host that is cut can be rebooted and stays cut", async () => {
  await lab.cut("pai");
  await lab.reboot("pai");
  expect((await lab.status())[1]?.state).toBe("cut");
  await lab.mend("pai");
});

test("power-off is silent and at once, power-on brings the host back with its disk", async () => {
  await lab.exec("pai", ["sh", "-c", "echo kept > /root/disk && sync"]);
  await lab.powerOff("pai");
  expect((await lab.status())[1]?.state).toBe("off");
  expect(await reaches("kalaw", "pai")).toBe(false);
  await expect(lab.exec("pai", ["true"])).rejects.toThrow("pai is off");
  await lab.powerOff("pai");

  await lab.powerOn("pai");
  expect((await lab.exec("pai", ["cat", "/root/disk"])).stdout).toBe("kept\n");
  expect((await login(lab, "pai", "true")).code).toBe(0);
  const { stdout } = await lab.exec("pai", ["systemctl", "is-system-running"]);
  expect(stdout).toBe("running\n");
});

test("up starts what is off and mends what is cut", async () => {
  await lab.cut("kalaw");
  await lab.powerOff("pai");
  await lab.up(report);
  expect((await lab.status()).map(({ state }) => state)).toEqual(["running", "running"]);
  expect(await reaches("pai", "kalaw")).toBe(true);
});
