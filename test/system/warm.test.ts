import { beforeAll, expect, test } from "vitest";
import { ownProtocol } from "../own-protocol.ts";
import { useHome } from "./home.ts";

const home = useHome(["kalaw", "pai"], { after: "up" });

/** Where kalaw's owner keeps the machines' flake. */
const flake = "/srv/machines";
const onKalaw = (script: string) => home().on("kalaw", script);

/** Builds pai's systems now, without waiting for the timer; what the unit said since. */
async function buildAhead(): Promise<{ code: number; said: string }> {
  const { code } = await home().tryOn("kalaw", "systemctl start nixos-cache-warm.service");
  const said = await onKalaw(
    "journalctl --quiet --output cat _SYSTEMD_INVOCATION_ID=$(systemctl show --value --property InvocationID nixos-cache-warm.service)",
  );
  return { code, said };
}

/** What kalaw keeps, oldest first: the systems' store paths. */
async function kept(): Promise<string[]> {
  const links = await onKalaw("cd /var/lib/nixos-cache-warm && ls | sort -n | xargs -r readlink");
  return links.split("\n").filter(Boolean);
}

/** Whether kalaw still has a store path, after everything that nothing keeps is deleted. */
async function survives(path: string): Promise<boolean> {
  await onKalaw("nix-collect-garbage -d");
  return (await home().tryOn("kalaw", `nix-store --check-validity ${path}`)).code === 0;
}

let current: string;
beforeAll(async () => {
  current = await home().on("pai", "readlink -f /run/current-system");
  const files = await home().on("pai", "tar -C /etc/nixos --exclude .git -c . | base64");
  await home().on(
    "kalaw",
    `mkdir -p ${flake} && base64 -d | tar -C ${flake} -x --no-same-owner`,
    files,
  );
  // Root's own repository, which the unit's user may read and no more.
  await onKalaw(`git -C ${flake} init --quiet && git -C ${flake} add --force .`);
  await home().set("servers.kalaw.warm.flake", flake);
  await home().set("servers.kalaw.warm.systems[0]", "pai");
  await home().set("servers.kalaw.warm.keep", "2");
  await home().up();
});

/** Edits pai's configuration in kalaw's copy of the flake. */
const edit = (mark: string) =>
  onKalaw(`printf '{ environment.etc.mark.text = "${mark}"; }' >${flake}/mark.nix
    grep -q mark.nix ${flake}/flake.nix || sed -i 's|./base.nix|&\\n            ./mark.nix|' ${flake}/flake.nix
    git -C ${flake} add --force .`);

test("the server builds what its client runs, on a timer, and garbage collection leaves it", async () => {
  expect(await onKalaw("systemctl is-active nixos-cache-warm.timer")).toBe("active");
  expect(await buildAhead()).toMatchObject({ code: 0 });
  expect(await kept()).toEqual([current]);
  expect(await survives(current)).toBe(true);
  // Once more the same: one root, not two.
  expect(await buildAhead()).toMatchObject({ code: 0 });
  expect(await kept()).toEqual([current]);
});

test("the client fetches a system that the server has built ahead of time", async () => {
  await edit("one");
  await buildAhead();
  const [, next = ""] = await kept();
  expect(next).toMatch(/nixos-system-pai/);
  const { code, stderr } = await home().tryOn("pai", `nix-store --realise ${next}`);
  expect([code, stderr]).toEqual([
    0,
    expect.stringContaining(`from '${ownProtocol}://nix-ssh@kalaw'`),
  ]);
  expect(await home().on("pai", `cat ${next}/etc/mark`)).toBe("one");
});

test("of each system the newest builds are kept, as many as the settings say", async () => {
  await edit("two");
  await buildAhead();
  const [first, second] = await kept();
  expect([first, second]).not.toContain(current);
  expect(await kept()).toHaveLength(2);
  expect(await survives(first ?? "")).toBe(true);
});

test("a build that fails is told, and leaves what there was", async () => {
  const before = await kept();
  await onKalaw(`mv ${flake}/mark.nix ${flake}/gone.nix`);
  const { code, said } = await buildAhead();
  expect([code, said]).toEqual([1, expect.stringContaining(`${flake}: could not build pai`)]);
  expect(await kept()).toEqual(before);
  await onKalaw(`mv ${flake}/gone.nix ${flake}/mark.nix && systemctl reset-failed`);
});

test("a private flake is read as its owner; above the limit the oldest builds go", async () => {
  const [oldest = "", newest = ""] = await kept();
  const size = await onKalaw(`nix path-info --closure-size ${newest} | grep -o '[0-9]*$'`);
  await onKalaw(`chown -R fay: ${flake} && chmod 700 ${flake}`);
  expect(await buildAhead()).toMatchObject({ code: 1 });
  await onKalaw("systemctl reset-failed");
  await home().set("servers.kalaw.warm.user", "fay");
  await home().set("servers.kalaw.warm.maxSize", size);
  await home().up();
  const { code, said } = await buildAhead();
  expect([code, said]).toEqual([0, expect.stringContaining("letting go of pai of ")]);
  expect(await kept()).toEqual([newest]);
  expect([await survives(oldest), await survives(newest)]).toEqual([false, true]);
});

test("nothing of it is left after `pulumi destroy`", async () => {
  const [last = ""] = await kept();
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  expect(
    await onKalaw(
      "ls -d /var/*/nixos-cache-warm /var/*/private/nixos-cache-warm /var/lib/systemd/timers/*nixos-cache* 2>/dev/null || :",
    ),
  ).toBe("");
  expect(await onKalaw("systemctl list-units --all --plain --no-legend 'nixos-cache*'")).toBe("");
  expect(await survives(last)).toBe(false);
});
