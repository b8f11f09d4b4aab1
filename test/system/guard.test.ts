import { afterAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { useHome } from "./home.ts";

const home = useHome(undefined, { after: "up" });

/** What answers in the place of kalaw's sshd: Perl, for it is on every Debian. `$c` is the connection. */
const impostors = {
  "accepts and says nothing": "sleep 600;",
  "a banner, then silence": 'print $c "SSH-2.0-x\\r\\n"; sleep 600;',
  "a byte a second": 'print $c "SSH-2.0-x\\r\\n"; while (1) { print $c "\\0"; sleep 1; }',
  "a banner that is none": 'print $c "220 mail ESMTP\\r\\n" x 2000;',
  "closes at once": "",
};

/** Store paths that nobody has, and that nobody has asked for yet. */
let asked = 0;
function unknownPaths(): string {
  const number = () => String(asked++).padStart(32, "0");
  return Array.from({ length: 50 }, () => `/nix/store/${number()}-unknown`).join(" ");
}

// Alone on a machine they are told in docs/explanation/figures.md, and measured by dev/bench/offline.ts; here others work too.
afterAll(() => console.table(figures));
const figures: Record<string, { "50 paths": string; "until it is used again": string }> = {};
const secondsSince = (start: number) => (performance.now() - start) / 1000;

/** Asks for 50 paths, builds, brings the cache back, and waits until it is used again. */
async function holdsOut(name: string, back: () => Promise<unknown>): Promise<void> {
  await home().on("pai", "rm -f /run/nixos-cache/*.unreachable");
  const begun = performance.now();
  const { code, stderr } = await home().tryOn("pai", `nix-store --realise ${unknownPaths()}`);
  const seconds = secondsSince(begun);
  expect(code).not.toBe(0);
  const attempts = stderr.match(/nixos-cache: kalaw port 22 is unreachable: .*/g);
  expect(attempts, stderr).toHaveLength(1);
  expect(stderr).toMatch(/nixos-cache: kalaw was unreachable \d+ s ago, not trying again yet/);
  expect(await buildNewPath(home().lab, "pai")).toMatch(/-hello$/);

  await back();
  const path = await buildNewPath(home().lab, "kalaw");
  const since = performance.now();
  await until(async () => (await home().tryOn("pai", `nix-store --realise ${path}`)).code === 0, {
    seconds: 60,
    otherwise: `pai does not fetch again: ${name}`,
  });
  expect(await home().on("pai", `nix path-info ${path}`)).toBe(path);
  figures[name] = {
    "50 paths": `${seconds.toFixed(1)} s`,
    "until it is used again": `${secondsSince(since).toFixed(1)} s`,
  };
}

describe("whoever answers at the cache's address, 50 paths cost one attempt, and builds go on", () => {
  test("nobody", async () => {
    await home().lab.powerOff("kalaw");
    await holdsOut("off", () => home().lab.powerOn("kalaw"));
  });

  test.each(Object.entries(impostors))("%s", async (name, answer) => {
    await home().on(
      "kalaw",
      `systemctl stop sshd && systemd-run --quiet --unit=impostor perl -MIO::Socket::INET -e '
         $SIG{CHLD} = "IGNORE";
         $s = IO::Socket::INET->new(LocalPort => 22, Listen => 99, ReuseAddr => 1) or die;
         while ($c = $s->accept) { if (!fork) { $c->autoflush(1); ${answer} exit; } close $c; }' &&
       until ss --no-header --listening --tcp 'sport = :22' | grep -q .; do :; done`,
    );
    await holdsOut(name, () => home().on("kalaw", "systemctl stop impostor; systemctl start sshd"));
  });
});

test("a key that is refused is tried once, and not for each path", async () => {
  const { lab } = home();
  await home().on(
    "pai",
    `cd /var/lib/nixos-cache/secret && mv identity right && ssh-keygen -q -t ed25519 -N "" -f identity
     date +%s >/root/since; rm -f /run/nixos-cache/*.unreachable`,
  );
  const { stderr } = await home().tryOn("pai", `nix-store --realise ${unknownPaths()}`);
  expect(stderr).toMatch(/kalaw port 22 is unreachable: nix-ssh@kalaw: Permission denied/);
  const since = await home().on("pai", "cat /root/since");
  const tries = `journalctl --unit=sshd --since=@${since} --grep='Connection closed by authenticating user nix-ssh' --quiet | wc -l`;
  expect(await home().on("kalaw", tries)).toBe("1");
  await home().on("pai", "cd /var/lib/nixos-cache/secret && mv right identity && rm identity.pub");
  await home().on("pai", "rm -f /run/nixos-cache/*.unreachable");
  await fetchPath(lab, "pai", await buildNewPath(lab, "kalaw"));
});

test("two fetches at once are both served", async () => {
  const { lab } = home();
  const paths = [await buildNewPath(lab, "kalaw"), await buildNewPath(lab, "kalaw")];
  await Promise.all(paths.map((path) => fetchPath(lab, "pai", path)));
});
