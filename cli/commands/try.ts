import { randomUUID } from "node:crypto";
import { Listr, type ListrTask } from "listr2";
import { machinesOf } from "../../config/machines.ts";
import { plainWords } from "../../machine/plain-words.ts";
import { ask } from "../ask.ts";
import { addressOf } from "../roles.ts";
import { readStack, type Stack } from "../stack.ts";
import { fetchedInWords, pathBuilt } from "../tried-path.ts";

/** `nixos-cache try`: a path that no store has yet is built on each server, and fetched by each of its clients. */
export async function tryIt(): Promise<void> {
  const stack = await readStack();
  let failures = 0;
  // Each failure is told where it happened, and counts at the end.
  const counting = async <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      failures += 1;
      throw error;
    });
  const builds = Object.keys(stack.settings.servers).map(
    (server): ListrTask => ({
      title: `${server} builds a new path`,
      task: async (_, task) => {
        const { path, milliseconds } = await counting(build(stack, server));
        task.title = `${server} built ${path} in ${milliseconds} ms`;
        const fetches = clientsOf(server, stack).map(
          (client): ListrTask => ({
            title: `${client} fetches it`,
            task: async (_, task) => {
              task.title = await counting(fetch(stack, client, server, path));
            },
          }),
        );
        return task.newListr(fetches, { concurrent: true });
      },
    }),
  );
  await new Listr(builds, {
    concurrent: true,
    exitOnError: false,
    rendererOptions: { collapseSubtasks: false },
  }).run();
  if (failures > 0) throw new TryFailed(failures);
}

/** What went wrong was told where it happened. */
export class TryFailed extends Error {
  constructor(count: number) {
    super(
      `${count === 1 ? "One try" : `${count} tries`} failed: \`nixos-cache doctor\` looks for the cause.`,
    );
  }
}

/** Those that are not gone. */
function clientsOf(server: string, { settings }: Stack): string[] {
  const present = machinesOf(settings);
  return Object.entries(settings.clients).flatMap(([name, { servers }]) =>
    servers.includes(server) && present.has(name) ? [name] : [],
  );
}

async function build(stack: Stack, server: string) {
  const answer = await ask("build", connectionOf(stack, server), stack.login, {
    words: [randomUUID()],
    seconds: 60,
  });
  return pathBuilt(server, answer);
}

async function fetch(stack: Stack, client: string, server: string, path: string) {
  const answer = await ask("fetch", connectionOf(stack, client), stack.login, {
    words: [path],
    seconds: 120,
  });
  return fetchedInWords(plainWords(client), answer, {
    server,
    address: addressOf(server, stack.settings).address,
  });
}

function connectionOf({ settings }: Stack, name: string) {
  const machine = machinesOf(settings).get(name);
  if (machine === undefined) throw new Error(`there is no machine ${name}`);
  return machine.connection;
}
