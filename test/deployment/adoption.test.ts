import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { expectWorking } from "../ownership/standing.ts";
import { previewOf, truthfulUpdate } from "../ownership/truthful-update.ts";
import { FetchLoop } from "../rotation/fetch-loop.ts";
import { useHome } from "../system/home.ts";
import { deploy } from "./owner.ts";

const home = useHome();
const hosts = ["kalaw", "pai"] as const;
const key = "/etc/nixos/cache_key";

let fingerprint: string;
let before: string[];

const snapshots = () => Promise.all(hosts.map((host) => home().snapshot(host)));

/** The names of the keys that a path has come to pai with. */
async function signatures(): Promise<string[]> {
  const { path } = await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
  const info = await home().on("pai", `nix path-info --sigs ${path}`);
  return (info.match(/\S+(?=:\S)/g) ?? []).map((name) => name.replace(/-\d\S+$/, "")).sort();
}

const sshByHand = `ssh -F none -i ${key} -o IdentitiesOnly=yes -o BatchMode=yes nix-ssh@kalaw`;

/** A connection to kalaw that somebody on pai has made with the key from before, and holds open. */
async function openByHand(): Promise<{ isOpen: () => boolean; end: () => Promise<void> }> {
  const serving = async () =>
    Number(await home().on("kalaw", "pgrep -c -u nix-ssh -f 'nix-store --serve' || true"));
  const others = await serving();
  let open = true;
  const fifo = `/run/by-hand-${process.hrtime.bigint()}`;
  const ssh = home()
    .tryOn("pai", `mkfifo ${fifo} && exec 3<>${fifo} && exec ${sshByHand} <&3`)
    .then(() => {
      open = false;
    });
  await until(async () => (await serving()) > others, {
    seconds: 30,
    otherwise: "no session is opened",
  });
  return {
    isOpen: () => open,
    async end() {
      await home().tryOn("pai", `pkill -f '^${sshByHand}'`);
      await ssh;
    },
  };
}

// As people set it up by hand: see docs/how-to/adopt-a-set-up-by-hand.md.
beforeAll(async () => {
  const publicKey = await home().on(
    "pai",
    `ssh-keygen -q -t ed25519 -N '' -C by-hand -f ${key} && cat ${key}.pub`,
  );
  fingerprint = (await home().on("pai", `ssh-keygen -l -f ${key}`)).split(" ")[1] ?? "";
  const trusted = await home().on(
    "kalaw",
    `umask 077 && nix key generate-secret --key-name by-hand >/etc/nixos/signing-key &&
     nix key convert-secret-to-public </etc/nixos/signing-key`,
  );
  await deploy(
    home(),
    "kalaw",
    `{
      nix.sshServe = { enable = true; keys = [ "${publicKey}" ]; };
      nix.settings.secret-key-files = "/etc/nixos/signing-key";
    }`,
  );
  await deploy(
    home(),
    "pai",
    `{
      nix.settings.substituters = [ "ssh://nix-ssh@kalaw" ];
      nix.settings.trusted-public-keys = [ "${trusted}" ];
      programs.ssh.extraConfig = "Match host kalaw user nix-ssh\\n  IdentityFile ${key}";
    }`,
  );
  // As after a first connection, at which somebody has said yes.
  await home().on(
    "pai",
    "umask 077 && mkdir -p /root/.ssh && ssh-keyscan kalaw >/root/.ssh/known_hosts",
  );
  expect(await signatures()).toEqual(["by-hand"]);
  before = await snapshots();
});

describe("what was set up by hand", () => {
  test("is adopted by `up`, without one failed fetch", async () => {
    const session = await openByHand();
    const loop = new FetchLoop(home(), "pai");
    const reach = (count: number) =>
      until(async () => loop.fetches.length >= count, {
        seconds: 120,
        otherwise: () => `only ${loop.fetches.length} fetches`,
      });
    await reach(10);
    const began = Date.now();
    await home().up();
    const ended = Date.now();
    await reach(loop.fetches.length + 20);
    const fetches = await loop.stop();
    const during = fetches.filter((fetch) => fetch.ended > began && fetch.began < ended);
    console.log(
      `adoption: ${fetches.length} fetches, ${during.length} of them during the update of ` +
        `${((ended - began) / 1000).toFixed(1)} s`,
    );
    expect(fetches.flatMap(({ failure }) => failure ?? [])).toEqual([]);
    expect(during.length).toBeGreaterThanOrEqual(5);
    // A long fetch that began before goes on too.
    expect(session.isOpen()).toBe(true);
    await session.end();
  });

  test("pai fetches with our keys now", async () => {
    await expectWorking(home());
    await home().on("pai", `mv ${key} /root/aside`);
    const fetched = await signatures().finally(() => home().on("pai", `mv /root/aside ${key}`));
    expect(fetched).toEqual(["by-hand", "kalaw"]);
  });

  test("the key from before goes on, and is reported by its fingerprint", async () => {
    const { changes, said } = await previewOf(home());
    expect(changes).toEqual([]);
    expect(said.split("\n").filter(Boolean)).toEqual([
      `warning: kalaw: nix-ssh also lets in 1 key not of this stack: ${fingerprint}`,
      "The update would rebuild no machine.",
    ]);
    const session = await openByHand();
    expect(session.isOpen()).toBe(true);
    await session.end();
  });
});

describe("onlyOurKeys", () => {
  test("ends its access, that of connections too, and nobody else's", async () => {
    const session = await openByHand();
    const loop = new FetchLoop(home(), "pai");
    await home().set("servers.kalaw.onlyOurKeys", "true");
    const { changes } = await truthfulUpdate(home());
    expect(changes).toEqual(["update kalaw-settings", "update kalaw-signing"]);
    await until(async () => !session.isOpen(), { seconds: 10, otherwise: "the session goes on" });
    expect((await loop.stop()).flatMap(({ failure }) => failure ?? [])).toEqual([]);

    const { stderr } = await home().tryOn("pai", `${sshByHand} </dev/null`);
    expect(stderr).toContain("Permission denied (publickey");
    expect((await previewOf(home())).said).toBe("The update would rebuild no machine.\n");
    await expectWorking(home());
  });

  test("may be taken back", async () => {
    await home().set("servers.kalaw.onlyOurKeys", "false");
    await truthfulUpdate(home());
    const session = await openByHand();
    await session.end();
  });
});

test("destroy leaves what was set up by hand", async () => {
  await home().stack.run(["destroy", "--yes", "--skip-preview"]);
  expect(await signatures()).toEqual(["by-hand"]);
  expect(await snapshots()).toEqual(before);
});
