import { describe, expect, test } from "vitest";
import { Answer } from "../../cli/answer.ts";
import { columns, machineStatus, statusRow } from "../../cli/machine-status.ts";
import { table } from "../../cli/table.ts";
import { parseStackConfig } from "../../config/stack-config.ts";

const key = (letter: string) =>
  `ssh-ed25519 ${Buffer.concat([Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0 ", "latin1"), Buffer.alloc(32, letter)]).toString("base64")}`;
const settings = parseStackConfig({
  "nixos-cache:servers": JSON.stringify({
    kalaw: { connection: { host: "kalaw", hostKey: key("a") } },
    nuc: { connection: { host: "nuc", hostKey: key("b") } },
  }),
  "nixos-cache:clients": JSON.stringify({
    pai: { connection: { host: "pai", hostKey: key("c") }, servers: ["kalaw", "nuc"] },
  }),
});
const now = Date.parse("2026-01-11T00:00:00Z");
const keys = {
  servers: { kalaw: { keyCreated: "2026-01-01T00:00:00Z" } },
  clients: { pai: { keyCreated: "2026-01-08T00:00:00Z" } },
};
const stack = { settings, keys };
const well = { state: "known", drift: new Map(), notes: [], runs: new Map() } as const;

test("a client that has fetched", () => {
  const last = now / 1000 - 60;
  const answer = new Answer(
    `free\t1073741824\nstore\t10\t2048\nfetched\tkalaw\t2\t1536\t${last}\nfetched\tx\t1\t1\t1\nend\n`,
  );
  const status = machineStatus("pai", stack, well, answer);
  expect(status).toEqual({
    name: "pai",
    role: "fetches",
    reachable: true,
    drift: [],
    notes: [],
    keysCreated: { ssh: "2026-01-08T00:00:00Z" },
    fetched: [{ server: "kalaw", paths: 2, bytes: 1536, last: "2026-01-10T23:59:00.000Z" }],
    store: { paths: 10, bytes: 2048 },
    free: 1073741824,
  });
  expect(statusRow(status, now)).toEqual([
    "pai",
    "fetches",
    "as it should be",
    "SSH: 3 days",
    "kalaw: 1 minute ago\n2 paths, 1.5 KiB",
    "2.0 KiB in 10 paths\n1.0 GiB free",
  ]);
});

test("a server that is off", () => {
  const reason = "kalaw port 22 did not answer in time";
  const status = machineStatus(
    "kalaw",
    stack,
    { state: "unknown", reason },
    new Error("kalaw port 22 did not answer in time"),
  );
  expect(status).toMatchObject({ reachable: false, reason, fetched: [] });
  expect(statusRow(status, now)[2]).toBe(`not reached: ${reason}`);
  expect(statusRow(status, now)[3]).toBe("signing: 10 days");
});

test("one that has drifted, each reason once", () => {
  const drift = new Map([
    ["keys server", "nix.conf is missing"],
    ["keys client", "nix.conf is missing"],
  ] as const);
  const status = machineStatus("kalaw", stack, { ...well, drift }, new Answer("end\n"));
  expect(statusRow(status, now)[2]).toBe("drift: nix.conf is missing");
});

test("numbers of a machine that lies are left out", () => {
  const answer = new Answer(
    "free\tlots\nstore\t1\t-1\nfetched\tkalaw\t1\t1\t99999999999999\nend\n",
  );
  const status = machineStatus("pai", stack, well, answer);
  expect(status.fetched).toEqual([]);
  expect(status).not.toHaveProperty("free");
  expect(status).not.toHaveProperty("store");
});

describe("the table", () => {
  test("fits the terminal, folded at words", () => {
    const drift = "drift: nix.conf was changed by hand (lines added: 1, missing: 0)";
    const row = ["pai", "fetches", drift, "SSH: 3 days", "kalaw: 1 minute ago", "2.0 KiB"];
    const lines = table(columns, [row], 2, 100).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(lines[1]).toMatch(/^│ machine │ role/);
    expect(lines.join("\n")).toContain("drift: nix.conf was changed");
  });
});
