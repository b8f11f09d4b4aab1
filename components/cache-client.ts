import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { generateSshKeypair, sshFingerprint } from "../keys/ssh-key.ts";
import { gone, mayBeOff, priority, rotation } from "../machine/argument-schemas.ts";
import { shellWord } from "../machine/shell-word.ts";
import { CacheServer } from "./cache-server.ts";
import { type ArgumentSchemas, checkedArgs, machineArgs } from "./checked-args.ts";
import { type Declared, Machine, type Step } from "./machine.ts";
import type { MachineArgs } from "./machine-args.ts";
import {
  type ClientSettings,
  identityInput,
  type ServerForClient,
  type ServerForIdentity,
  settingsJson,
} from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";
import type { TakenSteps } from "./taken-steps.ts";

export interface CacheClientArgs extends MachineArgs {
  /** The cache it fetches from, or several. Passing it orders the rebuilds: server first. */
  server: CacheServer | CacheServer[];
  /**
   * The caches' priority: a lower one is asked first; cache.nixos.org has 40.
   * @default Nix's own for an SSH store: 0
   */
  priority?: pulumi.Input<number> | undefined;
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

  /** @throws pulumi.InputPropertiesError with a line for every argument that is wrong */
  constructor(name: string, args: CacheClientArgs, opts?: pulumi.ComponentResourceOptions) {
    const checked = checkedArgs(name, clientArgs, args);
    super("nixos-cache:index:CacheClient", name, {}, opts);
    this.#name = name;
    const servers = [checked.server].flat();
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
    this.settings = pulumi
      .all(
        Object.fromEntries(
          servers.map((server) => [server.name, serverForClient(server, checked.priority)]),
        ),
      )
      .apply((servers): ClientSettings => ({ servers }));

    if (gone) {
      pulumi.log.warn(`${name} is gone: it has no access any more; what stands on it stays.`, this);
    }
    const machine = new Machine(name, checked, this, left);
    const authorizations = gone
      ? []
      : servers.map((server) =>
          this.#onServer(server, "authorization", {
            run: "authorize",
            undo: "revoke",
            after: [server.ready],
          }),
        );
    const ready = machine.role({
      role: "client",
      settings: this.settings.apply(settingsJson),
      after: servers.map((server) => server.ready),
      keys: {
        name: "identity",
        stdin: pulumi
          .all([servers.map(serverForIdentity), key.privateKey])
          .apply(([servers, privateKey]) => identityInput(servers, privateKey)),
        after: authorizations,
      },
    });
    // Last: the client uses this key and trusts this signing key. What it had before is taken away here and not before, so
    // an update that ends early leaves the client with keys that work. Of all its steps this is the first to be undone: access ends even
    // where the client's machine cannot be reached.
    for (const server of gone ? [] : servers) {
      this.#onServer(server, "access", {
        run: pulumi.interpolate`access ${server.signingKeyName.apply(shellWord)}`,
        // Of a machine that may be off, the first step that is undone says what to do if it is.
        undo: checked.mayBeOff ? "revoke --client-may-be-off" : "revoke",
        after: [ready],
        left,
      });
    }

    this.registerOutputs({
      publicKey: this.publicKey,
      fingerprint: this.fingerprint,
      keyCreated: this.keyCreated,
      settings: this.settings,
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

function serverForClient(
  server: CacheServer,
  priority: pulumi.Input<number> | undefined,
): pulumi.Output<ServerForClient> {
  return pulumi
    .all([server.address, server.port, server.hostKey, priority])
    .apply(([address, port, hostKey, priority]) => ({
      address,
      port,
      hostKey,
      priority: priority ?? null,
    }));
}

function serverForIdentity({
  address,
  port,
  hostKey,
  trustedPublicKey,
}: CacheServer): pulumi.Output<ServerForIdentity> {
  return pulumi.output({ address, port, hostKey, trustedPublicKey });
}

const isServer = z.custom((value) => value instanceof CacheServer, {
  error: "is no CacheServer: pass the one that it fetches from",
});

const away = z.boolean({ error: "is neither true nor false: write what isAway returns" });

const clientArgs: ArgumentSchemas = {
  inputs: {
    ...machineArgs.inputs,
    priority: priority.optional(),
    rotation: rotation.optional(),
  },
  plain: {
    ...machineArgs.plain,
    server: z.preprocess(
      (value) => (Array.isArray(value) ? value : [value]),
      z.array(isServer).min(1, "is empty: pass the CacheServer that it fetches from"),
    ),
    gone: gone.optional(),
    mayBeOff: mayBeOff.optional(),
    away: away.optional(),
    taken: z.instanceof(Set, { error: "is no set: write what takenSteps returns" }).optional(),
  },
};
