import { expect, test } from "vitest";
import { useHome } from "../system/home.ts";
import { editBy } from "./owner.ts";

const home = useHome(undefined, { after: "up" });
const variant = `specialisation.travel.configuration.environment.etc.travel.text = "";`;
const on = (script: string) => home().on("pai", script);

/** Which variant of which system runs, and which system boots. */
const systems = () =>
  on(`readlink -f /run/current-system /nix/var/nix/profiles/system/specialisation/travel
      readlink -f /boot/nixos-system /nix/var/nix/profiles/system`);

/** The specialisation of what boots runs. */
async function travels(): Promise<string> {
  const [running, specialised, booting, profile] = (await systems()).split("\n");
  expect([running, booting]).toEqual([specialised, profile]);
  return running ?? "";
}

test("a change comes to the specialisation that runs, and what boots stays the system itself", async () => {
  await editBy(home(), "pai", `{ ${variant} }`);
  await on(`nixos-rebuild switch
            /nix/var/nix/profiles/system/specialisation/travel/bin/switch-to-configuration test`);
  const before = await travels();
  await home().set("clients.pai.priority", "30");
  await home().up();
  expect(await travels()).not.toBe(before);
  expect(await on("cat /etc/nix/nix.conf")).toContain("?priority=30");
  await home().stack.run(["preview", "--expect-no-changes"]);
});

test("and what is taken back goes back to it", async () => {
  const before = await systems();
  await editBy(
    home(),
    "pai",
    `{ lib, ... }: { ${variant} services.openssh.enable = lib.mkForce false; }`,
  );
  await home().set("clients.pai.confirmWithin", "10");
  await home().set("clients.pai.priority", "31");
  expect(await home().failingUp()).toContain("this machine went back to the system before");
  expect(await systems()).toBe(before);
  await editBy(home(), "pai", `{ ${variant} }`);
  await home().up();
  await travels();
});

test("with onlyOurs, a specialisation is no edit of the owner's", async () => {
  await home().set("clients.pai.onlyOurs", "true");
  await home().set("clients.pai.priority", "32");
  await home().up();
  await travels();
});
