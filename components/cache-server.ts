import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { generateSigningKeypair } from "../keys/signing-key.ts";
import {
  hostName,
  onlyOurKeys,
  otherClient,
  otherClients,
  port,
  rotation,
  warm,
} from "../machine/argument-schemas.ts";
import { bareHostKey, checkedHostKey } from "../machine/host-key.ts";
import { shellWord } from "../machine/shell-word.ts";
import { type ArgumentSchemas, checkedArgs, machineArgs } from "./checked-args.ts";
import { admitInput, clientData, type OtherClient } from "./client-data.ts";
import { type Declared, Machine } from "./machine.ts";
import type { MachineArgs } from "./machine-args.ts";
import type { ServerData } from "./server-data.ts";
import { type ClientSettings, type ServerSettings, settingsJson } from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";

/** What a server builds on a timer, so that its clients find it there. */
export interface WarmArgs {
  /** A flake's URL, or its absolute path on the server; it has the systems in `nixosConfigurations`. */
  flake: pulumi.Input<string>;
  /** Their names there. */
  systems: pulumi.Input<pulumi.Input<string>[]>;
  /** When: a calendar event of systemd.time(7). @default "daily" */
  startAt?: pulumi.Input<string> | undefined;
  /**
   * A user of the server, not root, who evaluates the flake with their own credentials for it.
   * @default one without any rights, for a flake that everybody can read
   */
  user?: pulumi.Input<string> | undefined;
  /** How many different builds of each system are kept from garbage collection: 1 to 1000. @default 3 */
  keep?: pulumi.Input<number> | undefined;
  /** How much is kept in all: bytes, or with K, M, G or T in units of 1024. The oldest builds go. @default no limit */
  maxSize?: pulumi.Input<string> | undefined;
}

export interface CacheServerArgs extends MachineArgs {
  /** The host name or address under which clients reach it. @default the component's name */
  address?: pulumi.Input<string> | undefined;
  /** The port of its sshd, for clients. @default `connection.port`, or 22 */
  port?: pulumi.Input<number> | undefined;
  /**
   * Whether user nix-ssh is let in by the keys of our stacks alone. Otherwise keys from elsewhere, such as
   * `nix.sshServe.keys`, count too, and are reported.
   * @default false
   */
  onlyOurKeys?: pulumi.Input<boolean> | undefined;
  /**
   * Clients that are not in this stack, by names of your choice: these keys may read, and those that were here before may not any more.
   * Each is the line of an SSH public key (`ssh-ed25519 AAAA…`), a list of lines, or `data` of a `CacheClient` in another stack,
   * through a StackReference. While such a client renews its key, both are in the list; `data` takes care of that.
   * @default none
   */
  otherClients?: Record<string, pulumi.Input<OtherClient>> | undefined;
  /**
   * For a machine that is also a `CacheClient`: that one's `settings`, so that one rebuild makes it both. They are known only once
   * the client is made, after its servers; a Promise may bring them. Without this there is a rebuild for each role.
   */
  clientSettings?: pulumi.Input<ClientSettings> | undefined;
  /** Systems of clients that the server builds or fetches ahead of time, and keeps. @default none */
  warm?: WarmArgs | undefined;
  /** Any text; when it changes, the signing key is renewed. @default "1" */
  rotation?: pulumi.Input<string> | undefined;
}

/**
 * A NixOS machine that serves its store over SSH to the clients that are authorized, and to nobody else
 * (NixOS: `nix.sshServe`), and signs what it serves.
 *
 * @example
 * const kalaw = new CacheServer("kalaw", {
 *   connection: { host: "kalaw.lan", hostKey: "ssh-ed25519 AAAA…" },
 * });
 */
export class CacheServer extends pulumi.ComponentResource {
  /** The component's name. */
  readonly name: string;
  /** The host name or address under which clients reach it. */
  readonly address: pulumi.Output<string>;
  /** The port of its sshd, for clients. */
  readonly port: pulumi.Output<number>;
  /** Its SSH host key, as `type base64`. */
  readonly hostKey: pulumi.Output<string>;
  /** `name:base64`: what a machine that fetches from here has to trust (nix.conf(5), `trusted-public-keys`). */
  readonly trustedPublicKey: pulumi.Output<string>;
  /** When the signing key was made: ISO 8601, UTC. */
  readonly keyCreated: pulumi.Output<string>;
  /** The options of `services.nixos-cache.server` on this machine (nixos/module.nix). */
  readonly settings: pulumi.Output<ServerSettings>;
  /** All that a `CacheClient` in another stack needs for its `server`. Put it out, and read it there through a StackReference. */
  readonly data: pulumi.Output<ServerData>;
  /** For a client's own steps on this machine. @internal */
  readonly machine: Machine;
  /** The name of the signing key, for a client to say that it trusts it. @internal */
  readonly signingKeyName: pulumi.Output<string>;
  /** What a client has to wait for: the machine serves, and goes on doing so. @internal */
  readonly ready: Declared;

  /** @throws pulumi.InputPropertiesError with a line for every argument that is wrong */
  constructor(name: string, args: CacheServerArgs, opts?: pulumi.ComponentResourceOptions) {
    const checked = checkedArgs(name, serverArgs, { ...args, address: args?.address ?? name });
    super("nixos-cache:index:CacheServer", name, {}, opts);
    this.name = name;
    this.address = pulumi.output(checked.address).apply((address) => address ?? name);
    this.port = pulumi.output(checked.port ?? checked.connection.port).apply((port) => port ?? 22);
    this.hostKey = pulumi
      .output(checked.connection.hostKey)
      .apply((hostKey) => bareHostKey(checkedHostKey(hostKey)));

    const key = storedKeypair(
      `${name}-signing-key`,
      () => generateSigningKeypair(name),
      checked.rotation ?? "1",
      this,
    );
    this.signingKeyName = pulumi.unsecret(key.name);
    this.trustedPublicKey = pulumi.unsecret(key.publicKey);
    this.keyCreated = pulumi.unsecret(key.created);

    this.settings = pulumi
      .output({ onlyOurKeys: checked.onlyOurKeys, warm: checked.warm })
      .apply(({ onlyOurKeys = false, warm: given }): ServerSettings => {
        if (given === undefined) return { onlyOurKeys };
        const { user = null, maxSize = null, ...rest } = warm.parse(given);
        return { onlyOurKeys, warm: { ...rest, user, maxSize } };
      });

    this.machine = new Machine(name, checked, this);
    this.ready = this.machine.role({
      role: "server",
      settings: this.settings.apply(settingsJson),
      clientToo:
        checked.clientSettings === undefined
          ? undefined
          : pulumi.output(checked.clientSettings).apply(settingsJson),
      keys: { name: "signing", word: this.signingKeyName, stdin: key.privateKey },
    });
    const { address, port, hostKey, trustedPublicKey, keyCreated } = this;
    const admitted = this.#admitted(checked.otherClients);
    this.data = pulumi
      .all([{ name, address, port, hostKey, trustedPublicKey, keyCreated }, pulumi.all(admitted)])
      .apply(([data, keys]) => ({ ...data, authorizedKeys: keys.flat() }));

    this.registerOutputs({
      address: this.address,
      port: this.port,
      hostKey: this.hostKey,
      trustedPublicKey: this.trustedPublicKey,
      keyCreated: this.keyCreated,
      settings: this.settings,
      data: this.data,
    });
  }

  /** Lets in the clients of other stacks. The keys of each, as `type base64`, once they count. */
  #admitted(clients: CacheServerArgs["otherClients"] = {}): pulumi.Output<string[]>[] {
    return Object.entries(clients).map(([client, given]) => {
      const keys = pulumi.output(given) as pulumi.Output<OtherClient>;
      const step = this.machine.step(`${this.name}-admission-${client}`, {
        // It depends on the signing key, so a new one is heard of here: the client goes on trusting the one before.
        run: pulumi.interpolate`admit ${this.signingKeyName.apply(shellWord)}`,
        undo: "revoke",
        stdin: keys.apply((keys) => admitInput(keys, this.name)),
        after: [this.ready],
        part: "authorizations",
        about: client,
      });
      return pulumi
        .all([keys, step && pulumi.unsecret(step.stdout)])
        .apply(([keys]) => clientData(keys as OtherClient).publicKeys.map(bareHostKey));
    });
  }
}

const serverArgs: ArgumentSchemas = {
  inputs: {
    ...machineArgs.inputs,
    address: hostName.optional(),
    port: port.optional(),
    onlyOurKeys: onlyOurKeys.optional(),
    warm: warm.optional(),
    rotation: rotation.optional(),
    clientSettings: z
      .object(
        { servers: z.record(z.string(), z.unknown()) },
        {
          error: "is no client's settings: pass those of the CacheClient on this machine",
        },
      )
      .optional(),
  },
  plain: machineArgs.plain,
  members: {
    otherClients: {
      all: otherClients.optional(),
      each: otherClient,
    },
  },
};
