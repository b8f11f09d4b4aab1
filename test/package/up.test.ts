import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { useSshAgent } from "../ssh-agent.ts";
import { type Home, useHome } from "../system/home.ts";
import { useUserProjects } from "./user-project.ts";

const projects = useUserProjects("tarball");
const agent = useSshAgent();

/** Whoever deploys has the operator's key of a lab in their SSH agent. */
function withAgent({ lab }: Home): Record<string, string> {
  agent.add(lab.operatorKeyFile);
  return { SSH_AUTH_SOCK: agent.socket };
}

/** An example as its user has it: with their own machines, here those of a lab, and on a stack `lab`. */
class Example {
  readonly #home: Home;
  readonly #project: string;
  readonly #env: Record<string, string>;

  private constructor(home: Home, project: string, env: Record<string, string>) {
    this.#home = home;
    this.#project = project;
    this.#env = env;
  }

  static async of(home: Home, name: string, env: Record<string, string> = {}): Promise<Example> {
    const project = await projects().makeExample(name);
    const file = join(project, "index.ts");
    await writeFile(file, await withHostsOf(home, await readFile(file, "utf8")));
    const example = new Example(home, project, env);
    await example.pulumi(["stack", "init", "lab"]);
    return example;
  }

  async pulumi(args: string[], stdin?: string): Promise<string> {
    const { stdout } = await this.#home.stack.run(["--cwd", this.#project, ...args], {
      env: this.#env,
      ...(stdin !== undefined && { stdin }),
    });
    return stdout;
  }

  up = () => this.pulumi(["up", "--yes", "--skip-preview"]);

  async expectNoChanges(): Promise<void> {
    expect(await this.pulumi(["preview", "--expect-no-changes"])).not.toContain("drifted");
  }

  destroy = () => this.pulumi(["destroy", "--yes", "--skip-preview"]);
}

/** A program with a lab's hosts in the place of machines of the same names. */
async function withHostsOf({ lab }: Home, program: string): Promise<string> {
  const machine = /host: "[^"]+",(\s+user: "\w+",)?\s+hostKey:\s+"ssh-ed25519 \S+ root@(\w+)"/g;
  let text = program
    .replace('address: "bago.example.org"', 'address: "bago"')
    .replace("2222", "22");
  for (const [whole, , name = ""] of program.matchAll(machine)) {
    const hostKey = await lab.hostKey(name);
    text = text.replace(whole, `host: "${lab.address(name)}", hostKey: "${hostKey}"`);
  }
  return text;
}

async function expectFetched(home: Home, client: string, server: string): Promise<void> {
  const { signedBy } = await fetchPath(home.lab, client, await buildNewPath(home.lab, server));
  expect(signedBy).toMatch(new RegExp(`^${server}-`));
}

describe("kalaw and pai", () => {
  const home = useHome();
  const now = () => Promise.all(["kalaw", "pai"].map((host) => home().snapshot(host)));

  test("the example home brings a cache up, finds nothing to do, and takes it away", async () => {
    const before = await now();
    const example = await Example.of(home(), "home");
    await example.pulumi(
      ["config", "set", "--secret", "privateKey"],
      await readFile(home().lab.operatorKeyFile, "utf8"),
    );
    expect(await example.up()).toMatch(/Resources:\s+\+ 14 created/);
    await expectFetched(home(), "pai", "kalaw");

    await home().on("pai", "rm /var/lib/nixos-cache/nix.conf");
    expect(await example.pulumi(["preview"])).toContain("pai has drifted: nix.conf is missing");
    await example.up();
    await example.expectNoChanges();

    await example.destroy();
    expect(await now()).toEqual(before);
  });

  test("the example of two stacks, step by step as it says", async () => {
    const before = await now();
    const env = withAgent(home());
    const server = await Example.of(home(), "two-stacks/server", env);
    const client = await Example.of(home(), "two-stacks/client", env);
    await server.up();
    await client.pulumi(["config", "set", "server", "organization/two-stacks-server/lab"]);
    expect(await client.up()).toContain("pai waits for the stack of kalaw to let its new key in");
    await server.pulumi(["config", "set", "client", "organization/two-stacks-client/lab"]);
    await server.up();
    expect(await client.up()).not.toContain("waits");
    await expectFetched(home(), "pai", "kalaw");
    await server.up();
    for (const example of [client, server]) await example.expectNoChanges();

    for (const example of [client, server]) await example.destroy();
    expect(await now()).toEqual(before);
  });
});

describe("kalaw, bago, pai and inle", () => {
  const home = useHome(["kalaw", "bago", "pai", "inle"]);

  test("the example of two servers and a laptop: each client fetches from both", async () => {
    const env = withAgent(home());
    const example = await Example.of(home(), "two-servers-and-a-laptop", env);
    await example.up();
    for (const client of ["pai", "inle"]) {
      for (const server of ["kalaw", "bago"]) await expectFetched(home(), client, server);
    }
    expect(await home().on("inle", "cat /etc/nix/nix.conf")).toContain("?priority=50");
    await example.expectNoChanges();
  });
});
