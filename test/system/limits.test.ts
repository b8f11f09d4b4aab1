import { expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { withKey } from "../rotation/keys.ts";
import { useHome } from "./home.ts";

const home = useHome(undefined, { after: "up" });
const ssh = `ssh ${withKey("/var/lib/nixos-cache/secret/identity")} nix-ssh@kalaw`;
const serving = "pgrep -u nix-ssh -f 'nix-store --serve$'";

/** Opens a session that stays; what goes in first is in the words of Bash's printf. */
function session(bytes: string): Promise<unknown> {
  return home().tryOn(
    "pai",
    `bash -c "mkfifo /root/open-$$; exec 3<>/root/open-$$; printf '${bytes}' >&3; exec ${ssh} <&3"`,
  );
}

// The protocol of `nix-store --serve`: numbers of eight bytes, the low ones first (Nix, serve-protocol.hh).
const number = (value: number) =>
  Array.from({ length: 8 }, (_, i) => {
    const byte = i < 4 ? (value >>> (8 * i)) & 255 : 0;
    return `\\\\x${byte.toString(16).padStart(2, "0")}`;
  }).join("");
const greeting = number(0x390c9deb) + number(0x0207);
const queryOnePath = number(1) + number(0) + number(0) + number(1);

test("a client that announces a string of 3 GB ends its own session, and takes no memory", async () => {
  const done = session(greeting + queryOnePath + number(0xbfffffff));
  await done;
  expect((await home().tryOn("kalaw", serving)).code).toBe(1);
});

// By systemd's word: a host of the lab has no controllers of the kernel's to set.
test("all clients' sessions together have a limit of memory and of processes", async () => {
  const open = session("");
  const limits = () =>
    home().tryOn(
      "kalaw",
      `slice=$(sed -n 's|^0::.*/\\(user-[0-9]*.slice\\)/.*|\\1|p' /proc/$(${serving})/cgroup) && [ -n "$slice" ] &&
       systemctl show --property=MemoryMax,TasksMax $slice`,
    );
  await until(async () => (await limits()).code === 0, {
    seconds: 30,
    otherwise: async () => JSON.stringify(await limits()),
  });
  expect((await limits()).stdout.trim().split("\n").sort()).toEqual([
    "MemoryMax=2147483648",
    "TasksMax=512",
  ]);
  await home().on("kalaw", "pkill -u nix-ssh");
  await open;
});

test("and a client that fetches does not come near them", async () => {
  const { lab } = home();
  await fetchPath(lab, "pai", await buildNewPath(lab, "kalaw"));
});
