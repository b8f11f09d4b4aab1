import { beforeAll, describe, expect, test } from "vitest";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { useHome } from "./home.ts";
import { data, paiOnKalaw, type StepInputs, stack, step, stepInputs, traces } from "./step.ts";

const home = useHome(undefined, { after: "up" });
let inputs: StepInputs;
beforeAll(async () => {
  inputs = await stepInputs(home());
  // Since the hosts have booted, no step has been there.
  for (const host of ["kalaw", "pai"]) await home().on(host, "mkdir -p /run/nixos-cache");
});

const owners = (host: string) => home().on(host, `cat ${data}/owners`);
/** Whose the keys are: the last two words of each line. */
const authorized = () =>
  home().on("kalaw", `awk '{ print $(NF - 1), $NF }' ${data}/authorized_keys | sort`);

describe("what a component undoes after another has taken its place", () => {
  test.each([
    ["kalaw", "remove-settings server", () => inputs.server],
    ["kalaw", "remove-signing NAME", () => inputs.signing],
    ["pai", "remove-settings client", () => inputs.client],
    ["pai", "remove-identity", () => inputs.identity],
    ["kalaw", "revoke", () => inputs.key],
  ])("on %s: %s touches nothing of the other's", async (host, words, input) => {
    const before = await traces(home(), host);
    const snapshot = await home().snapshot(host);
    const call = step(words.replace("NAME", inputs.signingKey), "renamed");
    const said = await home().on(host, call, input());
    expect(await traces(home(), host)).toBe(before);
    expect(await home().snapshot(host)).toBe(snapshot);
    // Whose the machine is, is said where one could expect that it is cleaned up.
    const whose = host === "kalaw" ? "server belongs to" : "client belongs to";
    expect(said).toBe(
      words.startsWith("remove-settings")
        ? `this machine's part as a ${whose} ${stack} ${host} now, it is left alone`
        : "",
    );
  });

  test("a role goes over to another component of the stack without a word, and back", async () => {
    await home().on("kalaw", step("settings server", "nas"), inputs.server);
    expect(await owners("kalaw")).toBe(`server ${stack} nas`);
    await home().on("kalaw", step("remove-settings server", "kalaw"), inputs.server);
    await home().on("kalaw", step(`remove-signing ${inputs.signingKey}`, "kalaw"), "");
    expect(await home().on("kalaw", `ls ${data}/secret/signing`)).toBe(
      `${inputs.signingKey}\nnewest`,
    );
    await home().on("kalaw", step("settings server", "kalaw"), inputs.server);
    expect(await owners("kalaw")).toBe(`server ${stack} kalaw`);
  });

  test("a signing key goes when the client trusts the newer one, whoever undoes it", async () => {
    const next = generateSigningKeypair("nas", new Date("2026-01-01T00:00:00Z"));
    const signing = () =>
      home().on(
        "kalaw",
        `sed -n 's/.*-files = //p' ${data}/nix.conf | sed 's|${data}/secret/signing/||g'`,
      );
    await home().on("kalaw", step("settings server", "nas"), inputs.server);
    await home().on("kalaw", step(`signing ${next.name}`, "nas"), inputs.server + next.privateKey);
    const undo = step(`remove-signing ${inputs.signingKey}`, "kalaw");
    expect(await home().on("kalaw", undo, inputs.signing)).toBe(
      `${inputs.signingKey} goes on signing until every client trusts ${next.name}`,
    );
    expect(await signing()).toBe(`newest ${next.name} ${inputs.signingKey}`);
    await home().on("kalaw", step("access", paiOnKalaw), inputs.key);
    expect(await signing()).toBe(`newest ${next.name}`);
    expect(await home().on("kalaw", undo, inputs.signing)).toBe("");

    await home().on("kalaw", step("settings server", "kalaw"), inputs.server);
    await home().on("kalaw", step(`signing ${inputs.signingKey}`, "kalaw"), inputs.signing);
    await home().on("kalaw", step("access", paiOnKalaw), inputs.key);
    await home().on("kalaw", step(`remove-signing ${next.name}`, "nas"), "");
    expect(await signing()).toBe(`newest ${inputs.signingKey}`);
  });
});

describe("another stack", () => {
  const other = "friend/nixos-cache/home";

  test.each([
    ["kalaw", "server", () => inputs.server],
    ["pai", "client", () => inputs.client],
  ])("is refused on %s, and told how to take it over", async (host, role, input) => {
    const before = await traces(home(), host);
    const { code, stderr } = await home().tryOn(
      host,
      step(`settings ${role}`, host, other),
      input(),
    );
    expect([code, stderr]).toEqual([
      1,
      `this machine is a ${role} of the stack ${stack} (component ${host})\n` +
        "If that stack is to give it up, take the machine out of its settings, or set takeOver: true for it here; then run `pulumi up` again.\n",
    ]);
    expect(await traces(home(), host)).toBe(before);
  });

  test("takes it over where it is told to, and the first one undoes nothing any more", async () => {
    await home().on("kalaw", step("settings server --take-over", "nas", other), inputs.server);
    expect(await owners("kalaw")).toBe(`server ${other} nas`);
    const { code, stderr } = await home().tryOn(
      "kalaw",
      step("settings server", "kalaw"),
      inputs.server,
    );
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`a server of the stack ${other} (component nas)`),
    ]);

    const before = await traces(home(), "kalaw");
    for (const words of ["remove-settings server", `remove-signing ${inputs.signingKey}`]) {
      await home().on("kalaw", step(words, "kalaw"), inputs.server);
    }
    expect(await traces(home(), "kalaw")).toBe(before);
    const { stdout, stderr: told } = await home().stack.run(["preview"]);
    expect(stdout + told).toContain(
      `kalaw: its part as a server belongs to the stack ${other} now`,
    );

    await home().on("kalaw", step("settings server --take-over", "kalaw"), inputs.server);
    expect(await owners("kalaw")).toBe(`server ${stack} kalaw`);
    const log = await home().on("kalaw", `tail -n 2 ${data}/log`);
    expect(log).toMatch(/server belongs to friend\/nixos-cache\/home nas, no more to organization/);
    expect(log).toMatch(
      /server belongs to organization.*, no more to friend\/nixos-cache\/home nas$/,
    );
  });
});

describe("a client's keys on a server are told apart by whose they are", () => {
  const authorize = (component: string, owner?: string) =>
    home().on(
      "kalaw",
      step("authorize", component, owner),
      `${generateSshKeypair("x").publicKey}\n`,
    );

  test("each revocation takes its own and no other, however alike the names are", async () => {
    const names = ["pai.2", "pai-2", "pai%2", "pai", "pai@kalaw.2", "a.b/pai.2", "2", "pai.22"];
    const friend = "friend/nixos-cache/home";
    await home().on("kalaw", step("settings server --take-over", "nas", friend), inputs.server);
    await authorize("pai.2", friend);
    await home().on("kalaw", step("settings server --take-over", "kalaw"), inputs.server);
    for (const name of names) await authorize(name);
    const rest = (without: string[]) =>
      [
        `${stack} ${paiOnKalaw}`,
        ...names.filter((name) => !without.includes(name)).map((name) => `${stack} ${name}`),
        `${friend} pai.2`,
      ]
        .sort()
        .join("\n");
    expect(await authorized()).toBe(rest([]));
    for (const [i, name] of names.entries()) {
      await home().on("kalaw", step("revoke", name), inputs.key);
      expect(await authorized()).toBe(rest(names.slice(0, i + 1)));
    }
    await home().on("kalaw", step("revoke", "pai.2", friend), inputs.key);
    expect(await authorized()).toBe(`${stack} ${paiOnKalaw}`);
  });

  test("a client that has begun to use a key loses its others, and nobody else's go", async () => {
    await authorize(paiOnKalaw);
    await authorize("desk");
    await home().on("kalaw", step("access", paiOnKalaw), inputs.key);
    expect(await authorized()).toBe(`${stack} desk\n${stack} ${paiOnKalaw}`);
    await home().on("kalaw", step("revoke", "desk"), inputs.key);
  });

  test("a client whose key has gone has it back with its last step", async () => {
    await home().on("kalaw", step("revoke", paiOnKalaw), inputs.key);
    expect(await authorized()).toBe("");
    expect(await home().on("kalaw", step("access", paiOnKalaw), inputs.key)).toBe(
      "the client's key was missing, it is back",
    );
    expect(await authorized()).toBe(`${stack} ${paiOnKalaw}`);
  });

  test("a line that no step has written goes with the next one", async () => {
    const stranger = generateSshKeypair("stranger").publicKey;
    await home().on("kalaw", `cat >>${data}/authorized_keys`, `${stranger}\n`);
    await home().on("kalaw", step("access", paiOnKalaw), inputs.key);
    expect(await home().on("kalaw", `cat ${data}/authorized_keys`)).not.toContain(stranger);
  });
});
