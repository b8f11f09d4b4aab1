import { beforeAll, describe, expect, test } from "vitest";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { callHelper, callHelperToUndo } from "../../machine/helper.ts";
import { useHome } from "./home.ts";
import { paiOnKalaw, type StepInputs, stack, step, stepInputs, traces } from "./step.ts";

const home = useHome(undefined, { after: "up" });
let inputs: StepInputs;
beforeAll(async () => {
  inputs = await stepInputs(home());
});

const half = (text: string) => text.slice(0, Math.floor(text.length / 2));

describe("a step that is taken again changes nothing", () => {
  test.each<[host: string, words: string, input: () => string]>([
    ["kalaw", "settings server", () => inputs.server],
    ["kalaw", "signing NAME", () => inputs.signing],
    ["kalaw", "authorize", () => inputs.key],
    ["kalaw", "access", () => inputs.key],
    ["pai", "settings client", () => inputs.client],
    ["pai", "identity", () => inputs.identity],
  ])("on %s: %s", async (host, words, input) => {
    const before = await traces(home(), host);
    const whose = /authorize|access/.test(words) ? paiOnKalaw : host;
    const call = step(words.replace("NAME", inputs.signingKey), whose);
    expect(await home().on(host, call, input())).not.toMatch(
      /evaluating|switching|revoked|was missing/,
    );
    expect(await traces(home(), host)).toBe(before);
  });

  test("nor does one that undoes what is not there", async () => {
    const before = await traces(home(), "pai");
    const key = `${generateSshKeypair("x").publicKey}\n`;
    for (const words of ["remove-signing none", "revoke", "remove-settings server"]) {
      await home().on("pai", callHelperToUndo(`${words} --owner '${stack} kalaw'`), key);
    }
    expect(await traces(home(), "pai")).toBe(before);
  });
});

describe("input that ends early, with the connection, changes nothing", () => {
  const identityOf = (servers: string, key: string) => `${inputs.client}${servers}${key}`;
  test.each<[host: string, words: string, what: string, input: () => string, message: string]>([
    ["kalaw", "settings server", "no line end", () => inputs.server.trimEnd(), "settings"],
    ["kalaw", "settings server", "half", () => half(inputs.server), "settings"],
    ["kalaw", "settings server", "nothing", () => "", "settings"],
    ["kalaw", "settings server", "two lines", () => inputs.server.repeat(2), "settings"],
    ["pai", "settings client", "no line end", () => inputs.client.trimEnd(), "settings"],
    [
      "kalaw",
      "signing kalaw-half",
      "half a key",
      () => inputs.server + half(generateSigningKeypair("kalaw").privateKey),
      "signing key kalaw-half",
    ],
    [
      "kalaw",
      "signing kalaw-other",
      "a key of another name",
      () => inputs.server + generateSigningKeypair("kalaw").privateKey,
      "signing key kalaw-other",
    ],
    [
      "kalaw",
      "signing kalaw-none",
      "settings alone",
      () => inputs.server,
      "signing key kalaw-none",
    ],
    ["kalaw", "signing kalaw-none", "nothing", () => "", "signing key kalaw-none"],
    [
      "pai",
      "identity",
      "half a key",
      () =>
        identityOf(
          "kalaw 22 ssh-ed25519 AAAA kalaw-1:AAAA\n\n",
          half(generateSshKeypair("x").privateKey),
        ),
      "private key",
    ],
    ["pai", "identity", "half the servers", () => identityOf("kalaw 22 ssh-ed", ""), "private key"],
    [
      "pai",
      "identity",
      "a server without its signing key",
      () => identityOf("kalaw 22 ssh-ed25519 AAAA\n\n", generateSshKeypair("x").privateKey),
      "list of servers",
    ],
    ["pai", "identity", "nothing", () => "", "private key"],
    [
      "kalaw",
      "authorize",
      "half a key",
      () => half(generateSshKeypair("x").publicKey),
      "public key",
    ],
    ["kalaw", "authorize", "nothing", () => "", "public key"],
    ["kalaw", "access", "half a key", () => half(inputs.key), "public key"],
  ])("on %s: %s, %s", async (host, words, _, input, what) => {
    const before = await traces(home(), host);
    const snapshot = await home().snapshot(host);
    const { code, stderr } = await home().tryOn(host, step(words, host), input());
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`the ${what} did not arrive whole`),
    ]);
    expect(await traces(home(), host)).toBe(before);
    expect(await home().snapshot(host)).toBe(snapshot);
  });

  test.each([
    ["settings everything", "the helper knows no step settings everything"],
    ["confirm", "the helper knows no step confirm"],
    ["signing", "the helper knows no step signing"],
    ["authorize --force", "the helper knows no option --force"],
  ])("nor does a step that there is not: %s", async (words, message) => {
    const before = await traces(home(), "kalaw");
    const { code, stderr } = await home().tryOn("kalaw", callHelper(words), inputs.server);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(await traces(home(), "kalaw")).toBe(before);
  });
});
