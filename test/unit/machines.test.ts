import { expect, test } from "vitest";
import { machinesOf } from "../../config/machines.ts";

const hostKey = "ssh-ed25519 AAAA";
const kalaw = { connection: { host: "kalaw.lan", hostKey } };
const client = { servers: ["kalaw"] };

test("each machine is there once, and none that is gone", () => {
  const machines = machinesOf({
    servers: { kalaw, nas: { connection: { host: "nas.lan", hostKey } } },
    clients: {
      pai: { connection: { host: "pai.lan", hostKey }, ...client },
      nas: { connection: { host: "nas.lan", hostKey }, ...client },
      lost: { connection: { host: "lost.lan", hostKey }, ...client, gone: true },
    },
  });
  expect([...machines.keys()].sort()).toEqual(["kalaw", "nas", "pai"]);
  expect(machines.get("kalaw")).toEqual(kalaw);
});

test("a server is there, though it fetches no more", () => {
  const machines = machinesOf({
    servers: { kalaw },
    clients: { kalaw: { ...kalaw, ...client, gone: true } },
  });
  expect([...machines.keys()]).toEqual(["kalaw"]);
});
