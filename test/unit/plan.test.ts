import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { CacheClient } from "../../components/cache-client.ts";
import { CacheServer } from "../../components/cache-server.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP";
// Nothing listens there, so each plan that is asked for leaves a warning.
const connection = {
  host: "127.0.0.1",
  port: 1,
  hostKey,
  privateKey: pulumi.secret(generateSshKeypair("operator").privateKey),
};
const noPlan = (machine: string) => `no plan for ${machine}: 127.0.0.1 port 1 refuses connections`;

beforeAll(() =>
  pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => ({ id: `${name}-id`, state: inputs }),
      call: ({ inputs }) => inputs,
    },
    "nixos-cache",
    "test",
    true,
    "organization",
  ),
);
afterEach(() => vi.restoreAllMocks());

/** What is said on components, as `severity name: text`. */
function listen(): string[] {
  const said: string[] = [];
  for (const severity of ["info", "warn"] as const) {
    vi.spyOn(pulumi.log, severity).mockImplementation(async (text, on) => {
      said.push(`${severity} ${Reflect.get(on ?? {}, "__name")}: ${text}`);
    });
  }
  return said;
}

test("a preview asks each machine, no answer is a warning", async () => {
  const said = listen();
  const kalaw = new CacheServer("kalaw", { connection, plan: true });
  new CacheClient("pai", { connection, server: kalaw, plan: true });
  await vi.waitFor(() =>
    expect(said.sort()).toEqual([
      "info kalaw: asking for a plan",
      "info pai: asking for a plan",
      `warn kalaw: ${noPlan("kalaw (server)")}`,
      `warn pai: ${noPlan("pai (client)")}`,
    ]),
  );
});

test("a machine that is gone is not asked, nor one without the setting", async () => {
  const said = listen();
  const kalaw = new CacheServer("kalaw", { connection, plan: true });
  new CacheClient("lost", { connection, server: kalaw, plan: true, gone: true });
  new CacheClient("pai", { connection, server: kalaw });
  const answer = `warn kalaw: ${noPlan("kalaw (server)")}`;
  await vi.waitFor(() => expect(said).toContain(answer));
  expect(said.filter((line) => line.includes("plan"))).toEqual([
    "info kalaw: asking for a plan",
    answer,
  ]);
});
