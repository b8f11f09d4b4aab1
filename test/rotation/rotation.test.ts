import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { sshFingerprint } from "../../keys/ssh-key.ts";
import { seeds, sshKeypairOf } from "../ssh-keys-of-seeds.ts";
import { useHome } from "../system/home.ts";
import { type Fetch, FetchLoop } from "./fetch-loop.ts";
import { SlowFetch, SlowLogin } from "./held-up.ts";
import {
  bare,
  identity,
  keyMaterial,
  keysOf,
  refusal,
  type StoredKeypair,
  signing,
  signingKeysOf,
  storedKeypair,
  trustedBy,
  tryKey,
} from "./keys.ts";
import { type LongBuild, startLongBuild } from "./long-build.ts";
import { type Work, watchNix, workDuring } from "./work-on-hosts.ts";

const home = useHome();
const hosts = ["kalaw", "pai"];
const noWork = {
  kalaw: { evaluations: 0, rebuilds: 0 },
  pai: { evaluations: 0, rebuilds: 0 },
};

/** Whoever has read pai's key and kalaw's secret key before the rotation. */
const stolenIdentity = "/root/stolen-identity";
const stolenSigning = "/root/stolen-signing";

const keypairs = async () => ({
  pai: await storedKeypair(home(), "pai-key"),
  kalaw: await storedKeypair(home(), "kalaw-signing-key"),
});
type Keypairs = Record<"pai" | "kalaw", StoredKeypair>;

/** What a preview would do with each resource that it would change. */
async function previewed(): Promise<Record<string, string>> {
  const { stdout } = await home().stack.run(["preview", "--json"]);
  const { steps } = JSON.parse(stdout) as { steps: { op: string; urn: string }[] };
  return Object.fromEntries(
    steps.flatMap(({ op, urn }) => (op === "same" ? [] : [[urn.split("::").at(-1), op]])),
  );
}

/** Every public key, of SSH or of Nix, in a text. */
const publicKeysIn = (text: string) =>
  new Set(text.match(/ssh-ed25519 [\w+/]+=*|kalaw-\d{8}T\d{6}Z:[\w+/]+=*/g) ?? []);

/** The text of every file on a host in which a key of ours is to be found, but for secrets. */
const publicFiles = (host: string) =>
  home().on(
    host,
    `find /var/lib/nixos-cache -path '*/secret' -prune -o -path '*/log' -prune -o -type f -exec cat {} +
     cat /run/current-system/etc/nix/nix.conf /run/current-system/etc/ssh/*
     find /etc/nixos/nixos-cache /run/current-system/etc/nixos-cache/ -type f -exec cat {} +`,
  );

beforeAll(async () => {
  await watchNix(home(), hosts);
  expect(await workDuring(home(), hosts, () => home().up())).toEqual({
    kalaw: { evaluations: 1, rebuilds: 1 },
    pai: { evaluations: 1, rebuilds: 1 },
  });
});

test("OpenSSH reads the private keys of any seed", async () => {
  const keypairs = fc.sample(seeds, 60).map(sshKeypairOf);
  const read = await home().on(
    "pai",
    `umask 077 && cd $(mktemp -d) && csplit --quiet --elide-empty-files --prefix=key --digits=3 - '/BEGIN/' '{*}'
     for key in key*; do ssh-keygen -y -P '' -f $key || echo "$key is unreadable"; done`,
    keypairs.map(({ privateKey }) => privateKey).join(""),
  );
  expect(read.split("\n")).toEqual(keypairs.map(({ publicKey }) => bare(publicKey)));
});

describe("rotation of all keys", () => {
  let old: Keypairs;
  let renewed: Keypairs;
  let work: Record<string, Work>;
  let builds: LongBuild[];
  let preview: string;
  let fetches: Fetch[];
  let said: string;
  let slowFetch: SlowFetch;
  let slowLogin: SlowLogin;
  let began: number;
  let ended: number;

  beforeAll(async () => {
    old = await keypairs();
    await home().on("pai", `cp ${identity} ${stolenIdentity}`);
    await home().on("kalaw", `cp ${signing}/${old.kalaw.name} ${stolenSigning}`);
    expect(await tryKey(home(), "pai", stolenIdentity)).toBe("let in");
    await home().set("rotation", "2");
  });

  test("its preview names what is replaced", async () => {
    expect(await previewed()).toEqual({
      "kalaw-signing-key": "replace",
      "kalaw-signing": "replace",
      "pai-key": "replace",
      "pai-authorization-kalaw": "update",
      "pai-identity": "update",
      "pai-access-kalaw": "update",
    });
  });

  test("and shows no public key that is not there yet", async () => {
    const { stdout } = await home().stack.run(["preview", "--diff", "--show-sames"]);
    preview = stdout;
    expect(preview).toMatch(/\[unknown\]|output<string>/);
    const known = [
      bare(old.pai.publicKey),
      old.kalaw.publicKey,
      await home().lab.hostKey("kalaw"),
      await home().lab.hostKey("pai"),
    ];
    expect([...publicKeysIn(preview)].filter((key) => !known.includes(key))).toEqual([]);
  });

  test("goes through while pai fetches and kalaw builds", async () => {
    builds = await Promise.all([
      startLongBuild(home().lab, "kalaw", "auto"),
      startLongBuild(home().lab, "kalaw", "daemon"),
    ]);
    const loop = new FetchLoop(home(), "pai");
    const reach = (count: number) =>
      until(async () => loop.fetches.length >= count, {
        seconds: 120,
        otherwise: () => `only ${loop.fetches.length} fetches`,
      });
    await reach(30);
    slowFetch = await SlowFetch.begin(home(), "pai");
    slowLogin = await SlowLogin.begin(home(), "pai");
    began = Date.now();
    const update = workDuring(home(), hosts, async () => {
      said = (await home().up()).stdout;
    });
    // Of the step that takes the old key away.
    const waits = async () =>
      (await home().tryOn("kalaw", "ls /run/nixos-cache-work.*/waits")).code;
    await until(async () => (await waits()) === 0, {
      seconds: 120,
      otherwise: () => "nothing waits for the fetch that is under way",
    });
    await slowFetch.hurry();
    work = await update;
    ended = Date.now();
    await reach(Math.max(100, loop.fetches.length + 30));
    fetches = await loop.stop();
    renewed = await keypairs();
  });

  test("without one failed fetch, of at least 100", () => {
    const during = fetches.filter((fetch) => fetch.ended > began && fetch.began < ended);
    console.log(
      `rotation of all keys: ${fetches.length} fetches, ${during.length} of them during the update ` +
        `of ${((ended - began) / 1000).toFixed(1)} s, ` +
        `${fetches.filter(({ failure }) => failure !== undefined).length} failures`,
    );
    expect(fetches.length).toBeGreaterThanOrEqual(100);
    expect(during.length).toBeGreaterThanOrEqual(5);
    expect(fetches.flatMap(({ failure }) => failure ?? [])).toEqual([]);
  });

  test("a fetch that began with the old key comes to its end", async () => {
    expect(await slowFetch.end()).toBe("whole");
    expect(said).toContain("a fetch that began with the old key has up to a minute to end");
  });

  test("a login that began before the rotation, and shows its key after it, is let in", async () => {
    expect(await slowLogin.end()).toBe("let in");
  });

  test("and without an evaluation or a rebuild on any machine", () => {
    expect(work).toEqual(noWork);
  });

  test("a build that began before it ends well, and pai fetches what it has built", async () => {
    for (const build of builds) await fetchPath(home().lab, "pai", await build.finish());
  });

  test("makes new keys, that were not in the preview", () => {
    expect(renewed.pai.publicKey).not.toBe(old.pai.publicKey);
    expect(renewed.kalaw.publicKey).not.toBe(old.kalaw.publicKey);
    expect(renewed.kalaw.name).not.toBe(old.kalaw.name);
    expect(preview).not.toContain(bare(renewed.pai.publicKey).split(" ")[1]);
    expect(preview).not.toContain(renewed.kalaw.publicKey.split(":")[1]);
  });

  test("pai's key is the new one alone", async () => {
    expect(bare(await home().on("pai", `ssh-keygen -y -f ${identity}`))).toBe(
      bare(renewed.pai.publicKey),
    );
    expect(await keysOf(home(), "pai")).toEqual([bare(renewed.pai.publicKey)]);
    expect(await home().on("kalaw", "wc -l </var/lib/nixos-cache/authorized_keys")).toBe("1");
  });

  test("kalaw refuses the old one", async () => {
    expect(await tryKey(home(), "pai", stolenIdentity)).toContain(refusal);
  });

  test("pai trusts the new signing key alone", async () => {
    expect(await trustedBy(home(), "pai")).toEqual([renewed.kalaw.publicKey]);
  });

  test("no file of either machine names an old key", async () => {
    for (const host of hosts) {
      const text = await publicFiles(host);
      expect(text).not.toContain(old.kalaw.publicKey.split(":")[1]);
      expect(text).not.toContain(bare(old.pai.publicKey));
    }
    const nixConf = await home().on("kalaw", "cat /var/lib/nixos-cache/nix.conf");
    expect(nixConf).not.toContain(old.kalaw.name);
    expect(nixConf).toContain(renewed.kalaw.name);
  });

  test("and refuses what only the old one has signed", async () => {
    const path = await buildNewPath(home().lab, "kalaw", [
      "--option",
      "secret-key-files",
      stolenSigning,
    ]);
    const { code, stderr } = await home().tryOn("pai", `nix-store --realise ${path}`);
    expect(code).not.toBe(0);
    expect(stderr).toContain("not signed by any of the keys in 'trusted-public-keys'");
    await home().on("kalaw", `nix-store --delete ${path}`);
  });

  test("every path in kalaw's store has the new signature", async () => {
    const infos = JSON.parse(await home().on("kalaw", "nix path-info --all --json")) as Record<
      string,
      { ca?: string | null; signatures?: string[] } | null
    >;
    // What was added since, without being built, is named after its content and needs no signature.
    const unsigned = Object.entries(infos).flatMap(([path, info]) =>
      info?.signatures?.some((signature) => signature.startsWith(`${renewed.kalaw.name}:`)) ||
      info?.ca
        ? []
        : [path],
    );
    expect(Object.keys(infos).length).toBeGreaterThan(100);
    expect(unsigned).toEqual([]);
  });

  test("the old secret key is gone from kalaw", async () => {
    await home().on("kalaw", `rm ${stolenSigning}`);
    const seed = (old.kalaw.privateKey.split(":")[1] ?? "").slice(0, 40);
    expect(seed).toHaveLength(40);
    const found = await home().tryOn("kalaw", "grep -rlF -f - /var/lib/nixos-cache", seed);
    expect([found.code, found.stdout]).toEqual([1, ""]);
    expect(await signingKeysOf(home())).toEqual([renewed.kalaw.name]);
    expect(await home().on("kalaw", `cut -d: -f1 ${signing}/* | sort -u`)).toBe(renewed.kalaw.name);
  });

  test("the stack's outputs have the fingerprint and the age of each key", async () => {
    const { stdout } = await home().stack.run(["stack", "output", "--json"]);
    const { servers, clients } = JSON.parse(stdout);
    expect(servers.kalaw).toMatchObject({
      trustedPublicKey: renewed.kalaw.publicKey,
      keyCreated: renewed.kalaw.created,
    });
    expect(clients.pai).toMatchObject({
      publicKey: renewed.pai.publicKey,
      fingerprint: (await home().on("pai", `ssh-keygen -l -f ${identity}`)).split(" ")[1],
      keyCreated: renewed.pai.created,
    });
    expect(Math.abs(Date.parse(renewed.pai.created) - began)).toBeLessThan(30_000);
  });

  test("the machines' logs say what came and went, when, and no secret", async () => {
    const kalaw = await home().on("kalaw", "cat /var/lib/nixos-cache/log");
    const pai = await home().on("pai", "cat /var/lib/nixos-cache/log");
    const words = (log: string) => log.split("\n").map((line) => line.slice(21));
    expect(`${kalaw}\n${pai}`.split("\n")).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ signing key kalaw-\w+ installed$/),
      ]),
    );
    const keys = [old, renewed].map(({ pai: { publicKey } }) => sshFingerprint(publicKey));
    const fingerprints = (log: string, pattern: RegExp) =>
      words(log).flatMap((line) => pattern.exec(line)?.slice(1, 3).join(" ") ?? []);
    expect(fingerprints(kalaw, /^(authorized|revoked) 256 (\S+) /)).toEqual([
      `authorized ${keys[0]}`,
      `authorized ${keys[1]}`,
      `revoked ${keys[0]}`,
    ]);
    expect(words(kalaw).filter((line) => line.startsWith("signing key"))).toEqual([
      `signing key ${old.kalaw.name} installed`,
      `signing key ${renewed.kalaw.name} installed`,
      `signing key ${old.kalaw.name} removed`,
    ]);
    expect(fingerprints(pai, /^(identity) 256 (\S+) /)).toEqual(
      keys.map((key) => `identity ${key}`),
    );
    for (const { pai: ssh, kalaw: nix } of [old, renewed]) {
      expect(kalaw).not.toContain(nix.privateKey.split(":")[1]?.slice(0, 30));
      expect(pai).not.toContain(keyMaterial(ssh.privateKey));
    }
  });

  test("a second up and a preview have nothing to do", async () => {
    await home().stack.run(["preview", "--expect-no-changes"]);
    expect(await workDuring(home(), hosts, () => home().up())).toEqual(noWork);
  });
});

describe("rotation of one machine", () => {
  test("a client's own setting renews its key, and no machine is rebuilt", async () => {
    const old = await keypairs();
    await home().set("clients.pai.rotation", "lost laptop");
    expect(Object.keys(await previewed()).sort()).toEqual([
      "pai-access-kalaw",
      "pai-authorization-kalaw",
      "pai-identity",
      "pai-key",
    ]);
    expect(await workDuring(home(), hosts, () => home().up())).toEqual(noWork);
    const renewed = await keypairs();
    expect(renewed.pai.publicKey).not.toBe(old.pai.publicKey);
    expect(renewed.kalaw).toEqual(old.kalaw);
    expect(await keysOf(home(), "pai")).toEqual([bare(renewed.pai.publicKey)]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
  });

  test("a server's own setting renews its signing key, and no machine is rebuilt", async () => {
    const old = await keypairs();
    const build = await startLongBuild(home().lab, "kalaw", "daemon");
    await home().set("servers.kalaw.rotation", "new disk");
    expect(Object.keys(await previewed()).sort()).toEqual([
      "kalaw-signing",
      "kalaw-signing-key",
      "pai-access-kalaw",
      "pai-identity",
    ]);
    expect(await workDuring(home(), hosts, () => home().up())).toEqual(noWork);
    const renewed = await keypairs();
    expect(renewed.kalaw.publicKey).not.toBe(old.kalaw.publicKey);
    expect(renewed.pai).toEqual(old.pai);
    expect(await trustedBy(home(), "pai")).toEqual([renewed.kalaw.publicKey]);
    const fetched = await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
    expect(fetched.signedBy).toBe(renewed.kalaw.name);

    // A build may outlast more than one rotation.
    await home().set("servers.kalaw.rotation", "newer disk");
    await home().up();
    await fetchPath(home().lab, "pai", await build.finish());
  });
});

describe("an update of some machines alone (--target)", () => {
  const only = async (...resources: string[]) => {
    const targets = resources.flatMap((name) => ["--target", `**::${name}`]);
    await home().stack.run(["up", "--yes", "--skip-preview", ...targets]);
  };

  test("of the server: pai goes on fetching, and the next update of all finishes the rotation", async () => {
    const old = await keypairs();
    await home().set("servers.kalaw.rotation", "kalaw alone");
    await only("kalaw-signing-key", "kalaw-signing");
    const renewed = await keypairs();
    expect(await signingKeysOf(home())).toEqual([old.kalaw.name, renewed.kalaw.name].sort());
    expect(await trustedBy(home(), "pai")).toEqual([old.kalaw.publicKey]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));

    await home().up();
    expect(await signingKeysOf(home())).toEqual([renewed.kalaw.name]);
    expect(await trustedBy(home(), "pai")).toEqual([renewed.kalaw.publicKey]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
    await home().stack.run(["preview", "--expect-no-changes"]);
  });

  test("of the client: it has its new key, and the server what it had", async () => {
    const old = await keypairs();
    await home().set("rotation", "pai alone");
    await only("pai-key", "pai-authorization-kalaw", "pai-identity", "pai-access-kalaw");
    const renewed = await keypairs();
    expect(renewed.kalaw).toEqual(old.kalaw);
    expect(await keysOf(home(), "pai")).toEqual([bare(renewed.pai.publicKey)]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));

    await home().up();
    expect(await trustedBy(home(), "pai")).toEqual([(await keypairs()).kalaw.publicKey]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
    await home().stack.run(["preview", "--expect-no-changes"]);
  });
});
