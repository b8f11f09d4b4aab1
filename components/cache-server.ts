import * as pulumi from "@pulumi/pulumi";
import { generateSigningKeypair } from "../keys/signing-key.ts";
import { hostName, onlyOurKeys, port, rotation } from "../machine/argument-schemas.ts";
import { bareHostKey, checkedHostKey } from "../machine/host-key.ts";
import { type ArgumentSchemas, checkedArgs, machineArgs } from "./checked-args.ts";
import { type Declared, Machine } from "./machine.ts";
import type { MachineArgs } from "./machine-args.ts";
import { type ServerSettings, settingsJson } from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";

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
      .output(checked.onlyOurKeys)
      .apply((onlyOurKeys = false): ServerSettings => ({ onlyOurKeys }));

    this.machine = new Machine(name, checked, this);
    this.ready = this.machine.role({
      role: "server",
      settings: this.settings.apply(settingsJson),
      keys: { name: "signing", word: this.signingKeyName, stdin: key.privateKey },
    });

    this.registerOutputs({
      address: this.address,
      port: this.port,
      hostKey: this.hostKey,
      trustedPublicKey: this.trustedPublicKey,
      keyCreated: this.keyCreated,
      settings: this.settings,
    });
  }
}

const serverArgs: ArgumentSchemas = {
  inputs: {
    ...machineArgs.inputs,
    address: hostName.optional(),
    port: port.optional(),
    onlyOurKeys: onlyOurKeys.optional(),
    rotation: rotation.optional(),
  },
  plain: machineArgs.plain,
};
