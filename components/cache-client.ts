import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { generateSshKeypair, sshFingerprint } from "../keys/ssh-key.ts";
import {
  gone,
  mayBeOff,
  priority,
  protocol,
  rotation,
  serverData,
} from "../machine/argument-schemas.ts";
import { bareHostKey } from "../machine/host-key.ts";
import { shellWord } from "../machine/shell-word.ts";
import { CacheServer } from "./cache-server.ts";
import { type ArgumentSchemas, checkedArgs, machineArgs } from "./checked-args.ts";
import type { ClientData } from "./client-data.ts";
import { type Declared, Machine, type Step } from "./machine.ts";
import type { MachineArgs } from "./machine-args.ts";
import type { ServerData } from "./server-data.ts";
import { dataOf, isOther, placeOf, type ServerOfClient } from "./server-of-client.ts";
import {
  type ClientSettings,
  identityInput,
  type Protocol,
  serversForClient,
  settingsJson,
} from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";
import type { TakenSteps } from "./taken-steps.ts";

export interface CacheClientArgs extends MachineArgs {
  /**
   * The cache it fetches from, or several, the first one to ask first. A `CacheServer` orders the rebuilds: server first. Of another
   * stack it is `data` of the `CacheServer` there, through a StackReference; that stack lets this client in (`otherClients`).
   */
  server: ServerOfClient | ServerOfClient[];
  /**
   * The first cache's priority, and one more for each that follows: a lower one is asked first; cache.nixos.org has 40.
   * @default Nix's own for an SSH store: 0
   */
  priority?: pulumi.Input<number> | undefined;
  /**
   * The protocol that it fetches by.
   * @default "ssh-ng" if the client has Nix 2.34 or newer, else "ssh"
   */
  protocol?: pulumi.Input<Protocol> | undefined;
  /** Any text; when it changes, the SSH key is renewed. @default "1" */
  rotation?: pulumi.Input<string> | undefined;
  /**
   * The machine is lost, or switched off for good: its access ends, and it is not contacted any more, so what
   * stands on it stays. Without this, taking a client away also cleans up on its machine, and fails if it is off.
   * @default false
   */
  gone?: boolean | undefined;
  /**
   * The machine is not always on, like a laptop: what is taken away on it later may have to wait. See `away`.
   * @default false
   */
  mayBeOff?: boolean | undefined;
  /**
   * The machine is off now, and will be back: what has to be done there is left for the next update, and no key that it may
   * have is revoked. Needs `taken`. See `isAway`.
   * @default false
   */
  away?: boolean | undefined;
  /**
   * What the stack's state has (`takenSteps`). Of a machine that is away or gone nothing else is tried.
   * @default not known
   */
  taken?: TakenSteps | undefined;
}

/**
 * A NixOS machine that fetches from a `CacheServer`, with an SSH keypair of its own. The public half is
 * authorized on the server; the private half stands on the machine, readable by root only.
 *
 * @example
 * new CacheClient("pai", {
 *   connection: { host: "pai.lan", hostKey: "ssh-ed25519 AAAA…" },
 *   server: kalaw,
 * });
 */
export class CacheClient extends pulumi.ComponentResource {
  readonly #name: string;
  /** When the key was made: ISO 8601, UTC. */
  readonly keyCreated: pulumi.Output<string>;
  /** Its SSH public key, one line as in authorized_keys. */
  readonly publicKey: pulumi.Output<string>;
  /** The key's fingerprint, as `ssh-keygen -l` prints it. */
  readonly fingerprint: pulumi.Output<string>;
  /** The options of `services.nixos-cache.client` on this machine (nixos/module.nix). */
  readonly settings: pulumi.Output<ClientSettings>;
  /** All that a `CacheServer` in another stack needs to let it in, as one of its `otherClients`. Put it out, and read it there. */
  readonly data: pulumi.Output<ClientData>;
  /** The last step on the machine itself; none where it is left for later. @internal */
  readonly ready: Declared;

  /** @throws pulumi.InputPropertiesError with a line for every argument that is wrong */
  constructor(name: string, args: CacheClientArgs, opts?: pulumi.ComponentResourceOptions) {
    const checked = checkedArgs(name, clientArgs, args);
    super("nixos-cache:index:CacheClient", name, {}, opts);
    this.#name = name;
    const servers = [checked.server].flat();
    const own = servers.filter((server) => server instanceof CacheServer);
    const gone = checked.gone ?? false;
    const left = gone || checked.away ? { forGood: gone, taken: checked.taken } : undefined;
    const rotation = checked.rotation ?? "1";
    const key = storedKeypair(
      `${name}-key`,
      () => generateSshKeypair(name),
      // A machine that turns up again gets another key than the one that was out of sight.
      gone ? pulumi.interpolate`${rotation}, gone` : rotation,
      this,
    );
    this.publicKey = pulumi.unsecret(key.publicKey);
    this.keyCreated = pulumi.unsecret(key.created);
    this.fingerprint = this.publicKey.apply(sshFingerprint);
    const known = pulumi.all(servers.map(dataOf));
    this.settings = pulumi
      .all([pulumi.all(servers.map(placeOf)), checked.priority, checked.protocol])
      .apply(([servers, priority, protocol]) => ({
        servers: serversForClient(name, servers, { priority, protocol }),
      }));
    /** The servers of other stacks that do not know the new key yet. */
    const waitsFor = pulumi
      .all([pulumi.all(servers.filter(isOther).map(dataOf)), this.publicKey])
      .apply(([others, publicKey]) =>
        others.filter(({ authorizedKeys }) => {
          return authorizedKeys?.includes(bareHostKey(publicKey)) === false;
        }),
      );

    if (gone) {
      pulumi.log.warn(`${name} is gone: it has no access any more; what stands on it stays.`, this);
    }
    const machine = new Machine(name, checked, this, left);
    const authorizations = gone
      ? []
      : own.map((server) =>
          this.#onServer(server, "authorization", {
            run: "authorize",
            undo: "revoke",
            after: [server.ready],
          }),
        );
    if (!gone) this.#tellOf(waitsFor);
    this.ready = machine.role({
      role: "client",
      settings: this.settings.apply(settingsJson),
      after: own.map((server) => server.ready),
      keys: {
        name: "identity",
        stdin: pulumi
          .all([known, waitsFor, key.privateKey])
          .apply(([servers, waitsFor, privateKey]) => {
            const names = waitsFor.map(({ name }) => name);
            return identityInput(
              servers.map((server) =>
                names.includes(server.name) ? { ...server, whose: "waits" } : server,
              ),
              privateKey,
            );
          }),
        after: authorizations,
      },
    });
    // Last: the client uses this key and trusts this signing key. What it had before is taken away here and not before, so
    // an update that ends early leaves the client with keys that work. Of all its steps this is the first to be undone: access ends even
    // where the client's machine cannot be reached.
    for (const server of gone ? [] : own) {
      this.#onServer(server, "access", {
        run: pulumi
          .all([waitsFor, server.signingKeyName])
          // While the client goes on with the key that it has, that stays.
          .apply(([{ length }, key]) => (length > 0 ? "authorize" : `access ${shellWord(key)}`)),
        // Of a machine that may be off, the first step that is undone says what to do if it is.
        undo: checked.mayBeOff ? "revoke --client-may-be-off" : "revoke",
        after: [this.ready],
        left,
      });
    }
    // For other stacks: what the machine has come to, so not before the step is done; without them, a step that fails would keep the
    // stack's outputs back for nothing. What it says is public, whatever the engine infers from its stdin.
    const done = servers.some(isOther) ? this.ready : undefined;
    const said = pulumi.output(done && pulumi.unsecret(done.stdout));
    this.data = gone
      ? pulumi.output({ publicKeys: [], trusts: {} })
      : pulumi.all([this.publicKey, known, said]).apply(([publicKey, servers, said]) => ({
          publicKeys: keysInUse(publicKey, said),
          // A machine that is off trusts what it did before.
          trusts: checked.away
            ? {}
            : Object.fromEntries(
                servers.map(({ name, trustedPublicKey }) => [
                  name,
                  signingKeyName(trustedPublicKey),
                ]),
              ),
        }));

    this.registerOutputs({
      publicKey: this.publicKey,
      fingerprint: this.fingerprint,
      keyCreated: this.keyCreated,
      settings: this.settings,
      data: this.data,
    });
  }

  /** Says what other stacks have to do before the new key can be used. */
  #tellOf(waitsFor: pulumi.Output<ServerData[]>): void {
    pulumi.all([waitsFor, this.publicKey]).apply(([servers, publicKey]) => {
      for (const { name } of servers) {
        const words =
          `${this.#name} waits for the stack of ${name} to let its new key in: add it to ${name}'s otherClients there, ` +
          `run \`pulumi up\` there, then here. Until then ${this.#name} goes on with the key that it has. The new key:\n${publicKey}`;
        pulumi.log.warn(words, this);
      }
    });
  }

  /** A step on a server, about this client's key there. */
  #onServer(
    server: CacheServer,
    name: "authorization" | "access",
    step: Pick<Step, "run" | "undo" | "after" | "left">,
  ): Declared {
    return server.machine.step(`${this.#name}-${name}-${server.name}`, {
      ...step,
      stdin: pulumi.interpolate`${this.publicKey}\n`,
      part: "authorizations",
      of: this,
    });
  }
}

/** The newest key, and the one that the machine has said it reads with (machine/helper/identity.sh). */
function keysInUse(newest: string, said: string | undefined): string[] {
  const [, used] = /^reads with (\S+ \S+)$/m.exec(said ?? "") ?? [];
  return used === undefined || used === bareHostKey(newest) ? [newest] : [newest, used];
}

/** `name` of `name:base64`. */
function signingKeyName(trustedPublicKey: string): string {
  return trustedPublicKey.split(":", 1).join("");
}

/** A server of this stack, or the data of another's. */
const serverOfClient = z.unknown().superRefine((value, context) => {
  if (value instanceof CacheServer) return;
  for (const { path, message } of serverData.safeParse(value).error?.issues ?? []) {
    context.addIssue({ code: "custom", path, message });
  }
});

const away = z.boolean({ error: "is neither true nor false: write what isAway returns" });

const clientArgs: ArgumentSchemas = {
  inputs: {
    ...machineArgs.inputs,
    priority: priority.optional(),
    protocol: protocol.optional(),
    rotation: rotation.optional(),
  },
  plain: {
    ...machineArgs.plain,
    gone: gone.optional(),
    mayBeOff: mayBeOff.optional(),
    away: away.optional(),
    taken: z.instanceof(Set, { error: "is no set: write what takenSteps returns" }).optional(),
  },
  members: {
    server: {
      all: z.preprocess(
        (value) => (Array.isArray(value) ? value : [value]),
        z.array(z.unknown()).min(1, "is empty: pass the CacheServer that it fetches from"),
      ),
      each: serverOfClient,
    },
  },
};
