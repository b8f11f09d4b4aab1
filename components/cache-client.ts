import * as pulumi from "@pulumi/pulumi";
import { fingerprintForFileName, generateSshKeypair, sshFingerprint } from "../keys/ssh-key.ts";
import type { CacheServer } from "./cache-server.ts";
import type { ConnectionArgs } from "./connection.ts";
import { Machine } from "./machine.ts";
import { identityInput, type ServerForClient, settingsJson } from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";

export interface CacheClientArgs {
  /** How the operator reaches the machine. */
  connection: ConnectionArgs;
  /** The cache it fetches from, or several. Passing it orders the rebuilds: server first. */
  server: CacheServer | CacheServer[];
  /**
   * The caches' priority: a lower one is asked first; cache.nixos.org has 40.
   * @default Nix's own for an SSH store: 0
   */
  priority?: pulumi.Input<number> | undefined;
  /** Any text; when it changes, the SSH key is renewed. @default "1" */
  rotation?: pulumi.Input<string> | undefined;
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
  /** Its SSH public key, one line as in authorized_keys. */
  readonly publicKey: pulumi.Output<string>;
  /** The key's fingerprint, as `ssh-keygen -l` prints it. */
  readonly fingerprint: pulumi.Output<string>;

  constructor(name: string, args: CacheClientArgs, opts?: pulumi.ComponentResourceOptions) {
    super("nixos-cache:index:CacheClient", name, {}, opts);
    const servers = Array.isArray(args.server) ? args.server : [args.server];
    if (servers.length === 0) {
      throw new pulumi.InputPropertyError({
        propertyPath: "server",
        reason: `client ${name} has no server: pass the CacheServer that it fetches from`,
      });
    }

    const key = storedKeypair(
      `${name}-key`,
      () => generateSshKeypair(name),
      args.rotation ?? "1",
      this,
    );
    this.publicKey = pulumi.unsecret(key.publicKey);
    this.fingerprint = this.publicKey.apply(sshFingerprint);

    const authorizations = servers.map((server) => this.#authorize(name, server));
    const caches = pulumi.all(
      Object.fromEntries(
        servers.map((server) => [server.name, serverForClient(server, args.priority)]),
      ),
    );

    const machine = new Machine(name, args.connection, this);
    const identity = machine.step(`${name}-identity`, {
      run: "identity",
      undo: "remove-identity",
      stdin: pulumi
        .all([caches, key.privateKey])
        .apply(([known, privateKey]) => identityInput(Object.values(known), privateKey)),
      after: [...authorizations, ...servers.map((server) => server.ready)],
    });
    machine.step(`${name}-settings`, {
      run: "settings client",
      undo: "remove-settings client",
      stdin: caches.apply((known) => settingsJson({ servers: known })),
      after: [identity],
    });

    this.registerOutputs({ publicKey: this.publicKey, fingerprint: this.fingerprint });
  }

  /** On the server: this key may read. Replaced on a new key, so the old one is revoked last of all. */
  #authorize(name: string, server: CacheServer): pulumi.Resource {
    const file = this.publicKey.apply((key) => `${name}-${fingerprintForFileName(key)}`);
    return server.machine.step(
      `${name}-authorization-${server.name}`,
      {
        run: pulumi.interpolate`authorize ${file}`,
        undo: pulumi.interpolate`revoke ${file}`,
        stdin: pulumi.interpolate`${this.publicKey}\n`,
        replaceOn: file,
      },
      this,
    );
  }
}

function serverForClient(
  server: CacheServer,
  priority: pulumi.Input<number> | undefined,
): pulumi.Output<ServerForClient> {
  return pulumi
    .all([server.address, server.port, server.hostKey, server.trustedPublicKey, priority])
    .apply(([address, port, hostKey, trustedPublicKey, priority]) => ({
      address,
      port,
      hostKey,
      trustedPublicKeys: [trustedPublicKey],
      priority: priority ?? null,
    }));
}
