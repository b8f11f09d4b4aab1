import type { remote } from "@pulumi/command";
import { type Output, secret } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { connection, failed, leave, sshd, stackOf, trace, traced } from "./contract.ts";
import { freePort } from "./sshd.ts";

describe("life cycle", () => {
  test("create, nothing to do, update, refresh, delete", async () => {
    const stack = stackOf({
      create: leave("create"),
      update: leave("update"),
      delete: leave("delete"),
    });
    expect((await stack.run("up")).steps).toEqual(["create a"]);
    expect((await stack.resource("a"))?.id).toMatch(/^a[0-9a-f]{8}$/);
    expect((await stack.run("up")).steps).toEqual(["same a"]);
    stack.commands.a = { ...stack.commands.a, stdin: "x" } as remote.CommandArgs;
    expect((await stack.run("up")).steps).toEqual(["update a"]);
    expect((await stack.run("refresh")).error).toBe("");
    expect((await stack.run("destroy")).steps).toEqual(["delete a"]);
    expect(traced()).toEqual(["create", "update", "delete"]);
  });

  test("any changed input runs `create` again where `update` is not set", async () => {
    const args = { create: leave("create") };
    const stack = stackOf(args);
    await stack.run("up");
    const changes: Partial<remote.CommandArgs>[] = [
      { delete: "true" },
      { logging: "none" },
      { connection: connection({ perDialTimeout: 7 }) },
      { addPreviousOutputInEnv: true },
      { environment: { GREETING: "hello" } },
    ];
    for (const change of changes) {
      Object.assign(stack.commands.a as object, change);
      expect((await stack.run("up")).steps).toEqual(["update a"]);
    }
    expect(traced()).toEqual(Array(6).fill("create"));
  });

  test("changed triggers replace: create first, then the old delete with the old inputs", async () => {
    const stack = stackOf({ create: leave("create-1"), update: leave("no"), triggers: [1] });
    Object.assign(stack.commands.a as object, { delete: `cat >> ${trace}`, stdin: "old\n" });
    await stack.run("up");
    const next = { create: leave("create-2"), triggers: [2], delete: leave("new"), stdin: "new\n" };
    Object.assign(stack.commands.a as object, next);
    expect((await stack.run("up")).steps).toEqual([
      "create-replacement a",
      "replace a",
      "delete-replaced a",
    ]);
    expect(traced()).toEqual(["create-1", "create-2", "old"]);
  });

  test("triggers that appear replace too", async () => {
    const stack = stackOf({ create: "true", update: leave("no") });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { triggers: ["x"] });
    expect((await stack.run("up")).steps[0]).toBe("create-replacement a");
    expect(traced()).toEqual([]);
  });

  test("a failed create is not in the state and is never deleted", async () => {
    const stack = stackOf({ create: "exit 3", delete: leave("delete") });
    await stack.run("up");
    expect(await stack.resource("a")).toBeUndefined();
    await stack.run("destroy");
    expect(traced()).toEqual([]);
  });

  test("a failed update leaves the old inputs, and the old delete", async () => {
    const stack = stackOf({ create: "echo 1", delete: leave("old") });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { update: "exit 3", delete: leave("new") });
    expect((await stack.run("up")).error).not.toBe("");
    const inputs = (await stack.resource("a"))?.inputs;
    expect(inputs).toMatchObject({ create: "echo 1", delete: leave("old") });
    expect(inputs).not.toHaveProperty("update");
    await stack.run("destroy");
    expect(traced()).toEqual(["old"]);
  });

  test("a host that is gone makes destroy fail", async () => {
    const port = await freePort();
    const stack = stackOf({ connection: connection({ port }), delete: "true" });
    expect((await stack.run("up")).error).toBe("");
    expect((await stack.run("destroy")).messages).toEqual(
      failed(`dial tcp 127.0.0.1:${port}: connect: connection refused`),
    );
  });
});

describe("preview", () => {
  test("never connects, and does not know the outputs", async () => {
    const port = await freePort();
    const stack = stackOf({ connection: connection({ port }), create: "true" });
    stack.commands.b = { ...(stack.commands.a as remote.CommandArgs) };
    stack.derive = ({ a }) => (a ? { stdin: a.stdout, create: a.create as Output<string> } : {});
    const { error, text } = await stack.run("preview");
    expect(error).toBe("");
    expect(text).toMatch(/stdin +: \[unknown\]/);
    expect(text).toMatch(/create +: "true"/);
  });

  test("shows a changed JSON stdin by its parts", async () => {
    const stack = stackOf({ create: "cat", stdin: '{"port":22,"clients":{}}' });
    await stack.run("up");
    Object.assign(stack.commands.a as object, { stdin: '{"port":22,"clients":{"pai":"key"}}' });
    const { text } = await stack.run("preview");
    expect(text.replace(/\s+/g, " ")).toContain(
      '~ stdin: (json) { ~ clients: { + pai: "key" } port : 22 }',
    );
  });
});

describe("state", () => {
  test("keeps secrets secret, and fills in the defaults of a connection", async () => {
    const hidden = "planted-secret-in-stdin";
    const stack = stackOf({ create: "wc -c; echo warned >&2", stdin: secret(hidden) });
    const { text } = await stack.run("up");
    const state = stack.state();
    for (const leak of [hidden, sshd.privateKey("operator").split("\n")[1] ?? ""]) {
      expect(state).not.toContain(leak);
      expect(text).not.toContain(leak);
    }
    const resource = await stack.resource("a");
    for (const { connection, stdin, ...others } of [resource?.inputs, resource?.outputs] as {
      connection: { plaintext: string };
      stdin: { plaintext: string };
    }[]) {
      expect(JSON.parse(connection.plaintext)).toMatchObject({
        user: "root",
        perDialTimeout: 15,
        privateKey: { plaintext: JSON.stringify(sshd.privateKey("operator")) },
      });
      expect(stdin.plaintext).toBe(JSON.stringify(hidden));
      expect(others).toMatchObject({ create: "wc -c; echo warned >&2" });
    }
    // Not secret by themselves, even where stdin is.
    expect(resource?.outputs).toMatchObject({ stdout: "23", stderr: "warned" });
    Object.assign(stack.commands.a as object, { stdin: secret(`${hidden}-2`) });
    await stack.run("up");
    expect(stack.state()).not.toContain(hidden);
  });
});
