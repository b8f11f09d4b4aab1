import * as pulumi from "@pulumi/pulumi";
import { expect, test, vi } from "vitest";
import { mockEngine } from "./mock-engine.ts";

test("no debug message of the SDK quotes a private key; all others are heard", async () => {
  const said: string[] = [];
  // Before the components are there, as the SDK's own.
  Reflect.set(pulumi.log, "debug", async (text: string) => void said.push(text));
  const { CacheClient, CacheServer } = await import("../../components/index.ts");
  const stdin = new Map<string, string>();
  mockEngine(({ name, inputs }) => {
    stdin.set(name, JSON.stringify(inputs.stdin ?? ""));
  });
  const hostKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
  const kalaw = new CacheServer("kalaw", { connection: { host: "192.0.2.1", hostKey } });
  new CacheClient("pai", { connection: { host: "192.0.2.2", hostKey }, server: kalaw });
  await vi.waitFor(() => expect(stdin.has("pai-access-kalaw")).toBe(true), 10_000);
  await pulumi.log.debug("the last one");

  const signing = /kalaw-[0-9TZ]+:([A-Za-z0-9+/]{40})/.exec(stdin.get("kalaw-signing") ?? "")?.[1];
  const identity = /PRIVATE KEY-----\\n[^\\]{22}([^\\]{40})/.exec(
    stdin.get("pai-identity") ?? "",
  )?.[1];
  expect([signing, identity]).toEqual([expect.any(String), expect.any(String)]);
  const all = said.join("\n");
  expect(all).toContain("Registering resource: ");
  expect(all).toContain("the last one");
  expect(all).not.toContain(signing);
  expect(all).not.toContain(identity);
});
