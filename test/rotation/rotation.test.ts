import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { until } from "../../dev/lab/until.ts";
import { sshFingerprint } from "../../keys/ssh-key.ts";
import { useHome } from "../system/home.ts";
import { type Fetch, FetchLoop } from "./fetch-loop.ts";
import { bare, keysOf, type StoredKeypair, storedKeypair, tryKey } from "./keys.ts";

const home = useHome();
const identity = "/var/lib/nixos-cache/ssh/identity";
const signing = "/var/lib/nixos-cache/signing";

/** Whoever has read pai's key and kalaw's secret key before the rotation. */
const stolenIdentity = "/root/stolen-identity";
const stolenSigning = "/root/stolen-signing";

const keypairs = async () => ({
  pai: await storedKeypair(home(), "pai-key"),
  kalaw: await storedKeypair(home(), "kalaw-signing-key"),
});
type Keypairs = Record<"pai" | "kalaw", StoredKeypair>;

const rebuilds = async () => ({
  kalaw: await home().generations("kalaw"),
  pai: await home().generations("pai"),
});

/** The trusted public keys on pai that are kalaw's. */
const trusted = async () =>
  (await home().on("pai", "nix config show trusted-public-keys"))
    .split(/\s+/)
    .filter((key) => key.startsWith("kalaw-"));

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

beforeAll(() => home().up());

describe("rotation of all keys", () => {
  let old: Keypairs;
  let renewed: Keypairs;
  let before: Awaited<ReturnType<typeof rebuilds>>;
  let preview: string;
  let fetches: Fetch[];
  let began: number;
  let ended: number;

  beforeAll(async () => {
    old = await keypairs();
    before = await rebuilds();
    await home().on("pai", `cp ${identity} ${stolenIdentity}`);
    await home().on("kalaw", `cp ${signing}/0 ${stolenSigning}`);
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
      "pai-settings": "update",
      "pai-confirm": "update",
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

  test("goes through while pai fetches", async () => {
    const loop = new FetchLoop(home(), "pai");
    const reach = (count: number) =>
      until(async () => loop.fetches.length >= count, {
        seconds: 120,
        otherwise: () => `only ${loop.fetches.length} fetches`,
      });
    await reach(30);
    began = Date.now();
    await home().up();
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

  test("rebuilds kalaw once for pai's key, and pai once for kalaw's", async () => {
    expect(await rebuilds()).toEqual({ kalaw: before.kalaw + 1, pai: before.pai + 1 });
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
    expect(await keysOf(home(), "pai")).toEqual([renewed.pai.publicKey]);
    expect(await home().on("kalaw", "cat /etc/nixos/nixos-cache/authorized/*")).toBe(
      renewed.pai.publicKey,
    );
  });

  test("kalaw refuses the old one", async () => {
    expect(await tryKey(home(), "pai", stolenIdentity)).toContain("Permission denied (publickey");
  });

  test("pai trusts the new signing key alone", async () => {
    expect(await trusted()).toEqual([renewed.kalaw.publicKey]);
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
    const keys = [old, renewed].map(
      ({ pai: { publicKey } }) => `256 ${sshFingerprint(publicKey)} pai (ED25519)`,
    );
    expect(words(kalaw).filter((line) => /authorized|revoked/.test(line))).toEqual([
      `authorized ${keys[0]}`,
      `authorized ${keys[1]}`,
      `revoked ${keys[0]}`,
    ]);
    expect(words(kalaw).filter((line) => line.startsWith("signing key"))).toEqual([
      `signing key ${old.kalaw.name} installed`,
      `signing key ${renewed.kalaw.name} installed`,
      `signing key ${old.kalaw.name} removed`,
    ]);
    expect(words(pai).filter((line) => line.startsWith("identity"))).toEqual(
      keys.map((key) => `identity ${key}`),
    );
    for (const { pai: ssh, kalaw: nix } of [old, renewed]) {
      expect(kalaw).not.toContain(nix.privateKey.split(":")[1]?.slice(0, 30));
      expect(pai).not.toContain(ssh.privateKey.split("\n")[3]);
    }
  });

  test("a second up and a preview have nothing to do", async () => {
    await home().stack.run(["preview", "--expect-no-changes"]);
    await home().up();
    expect(await rebuilds()).toEqual({ kalaw: before.kalaw + 1, pai: before.pai + 1 });
  });
});

describe("rotation of one machine", () => {
  test("a client's own setting renews its key: the server is rebuilt once, the client not", async () => {
    const [old, before] = [await keypairs(), await rebuilds()];
    await home().set("clients.pai.rotation", "lost laptop");
    expect(Object.keys(await previewed()).sort()).toEqual([
      "pai-access-kalaw",
      "pai-authorization-kalaw",
      "pai-identity",
      "pai-key",
    ]);
    await home().up();
    const renewed = await keypairs();
    expect(renewed.pai.publicKey).not.toBe(old.pai.publicKey);
    expect(renewed.kalaw).toEqual(old.kalaw);
    expect(await rebuilds()).toEqual({ kalaw: before.kalaw + 1, pai: before.pai });
    expect(await keysOf(home(), "pai")).toEqual([renewed.pai.publicKey]);
    await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
  });

  test("a server's own setting renews its signing key: it is not rebuilt, its client once", async () => {
    const [old, before] = [await keypairs(), await rebuilds()];
    await home().set("servers.kalaw.rotation", "new disk");
    expect(Object.keys(await previewed()).sort()).toEqual([
      "kalaw-signing",
      "kalaw-signing-key",
      "pai-confirm",
      "pai-settings",
    ]);
    await home().up();
    const renewed = await keypairs();
    expect(renewed.kalaw.publicKey).not.toBe(old.kalaw.publicKey);
    expect(renewed.pai).toEqual(old.pai);
    expect(await rebuilds()).toEqual({ kalaw: before.kalaw, pai: before.pai + 1 });
    expect(await trusted()).toEqual([renewed.kalaw.publicKey]);
    const fetched = await fetchPath(home().lab, "pai", await buildNewPath(home().lab, "kalaw"));
    expect(fetched.signedBy).toBe(renewed.kalaw.name);
  });
});
