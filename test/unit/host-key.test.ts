import { describe, expect, test } from "vitest";
import { bareHostKey, checkedHostKey, complaintAboutHostKey } from "../../machine/host-key.ts";
import { declare } from "./declare.ts";
import type { Case } from "./declared-cases.ts";

const ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
const ecdsa =
  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";

describe("a host key", () => {
  test.each([ed25519, ecdsa, `${ed25519} root@kalaw`, `${ecdsa} fay's  büro\n`])(
    "is taken as it is: %j",
    (key) => {
      expect(checkedHostKey(key)).toBe(key);
    },
  );

  test("without its comment", () => {
    expect(bareHostKey(`${ed25519} root@kalaw, the one\n`)).toBe(ed25519);
  });

  test.each<[unknown, string]>([
    [undefined, "is missing"],
    [null, "is missing"],
    [5, "is no text"],
    [{ key: ed25519 }, "is no text"],
    ["", "is no SSH public key"],
    ["ssh-ed25519", "is no SSH public key"],
    ["ssh-ed25519 AAAA", "is no SSH public key"],
    [`kalaw ${ed25519}`, "is no SSH public key"],
    [`${ed25519}AAAA`, "is no SSH public key"],
    [`${ed25519}=`, "is no SSH public key"],
    [ecdsa.slice(0, -1), "is no SSH public key"],
    [`${ed25519}\rMatch all`, "is no SSH public key"],
    [`${ed25519} root\r@kalaw`, "is no SSH public key"],
    [`${ed25519} \u001b]0;x\u0007`, "is no SSH public key"],
    [`${ed25519} kalaw\u202e`, "is no SSH public key"],
    [ed25519.replace("ssh-ed25519", "ecdsa-sha2-nistp256"), "is no SSH public key"],
    [`${ed25519}\nMatch all`, "has more than one line"],
    ["ssh-rsa AAAAB3NzaC1yc2E", "is an RSA key"],
  ])("is not %j", (value, words) => {
    expect(complaintAboutHostKey(value)).toContain(words);
    expect(() => checkedHostKey(value)).toThrow(`connection.hostKey ${words}`);
  });
});

test("without one no step on the machine is registered, of an Output neither", async () => {
  const cases = ([undefined, null, "", 5, "rubbish"] as const).flatMap((value, i) =>
    (["server", "client"] as const).flatMap((component): Case[] =>
      [true, false].map((output) => ({
        name: `${component}-${i}-${output}`,
        component,
        path: "connection.hostKey",
        value,
        output,
      })),
    ),
  );
  const { registered, refused } = await declare(cases);
  // What is on kalaw is left, the one machine whose host key is right.
  const steps = registered.filter(
    (line) => line.startsWith("command:") && !line.endsWith("-authorization-kalaw"),
  );
  expect(steps.sort()).toEqual([
    "command:remote:Command kalaw-settings",
    "command:remote:Command kalaw-signing",
    "command:remote:CopyToRemote kalaw-helper",
  ]);
  expect(refused.length).toBeGreaterThanOrEqual(cases.length);
  for (const words of refused) expect(words).toContain("connection.hostKey");
});
