import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useHome } from "../system/home.ts";

const homes = [useHome(undefined, { after: "up" }), useHome(undefined, { after: "up" })] as const;

test("homes from one snapshot after `up` stand side by side, and have nothing to do", async () => {
  await Promise.all(
    homes.map((home) => home().stack.run(["preview", "--diff", "--expect-no-changes"])),
  );
});

test("each is its own from there on", async () => {
  const [one, other] = [homes[0](), homes[1]()];
  await one.set("clients.pai.priority", "30");
  await one.up();
  expect(await one.on("pai", "cat /etc/nix/nix.conf")).toContain("priority=30");
  expect(await other.on("pai", "cat /etc/nix/nix.conf")).not.toContain("priority=30");
  const path = await buildNewPath(one.lab, "kalaw");
  expect((await fetchPath(one.lab, "pai", path)).path).toBe(path);
  expect((await other.tryOn("pai", `nix-store --realise ${path}`)).code).not.toBe(0);
});

test("the hosts run as after their own boot: no unit has failed, none is the helper's", async () => {
  for (const host of ["kalaw", "pai"]) {
    expect(await homes[1]().on(host, "systemctl is-system-running")).toBe("running");
    expect(await homes[1]().on(host, "readlink /run/booted-system")).toBe(
      await homes[1]().on(host, "readlink /run/current-system"),
    );
  }
});
