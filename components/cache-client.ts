import * as pulumi from "@pulumi/pulumi";
import { fingerprintForFileName, generateSshKeypair, sshFingerprint } from "../keys/ssh-key.ts";
import type { CacheServer } from "./cache-server.ts";
import { Machine, type Step } from "./machine.ts";
import type { MachineArgs } from "./machine-args.ts";
import { identityInput, type ServerForClient, settingsJson } from "./settings.ts";
import { storedKeypair } from "./stored-keypair.ts";

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
  /** When the key was made: ISO 8601, UTC. */
  readonly keyCreated: pulumi.Output<string>;
  /** Its SSH public key, one line as in authorized_keys. */
  readonly publicKey: pulumi.Output<string>;
  /** The key's fingerprint, as `ssh-keygen -l` prints it. */
  readonly fingerprint: pulumi.Output<string>;
  /** `<client>-<fingerprint>`: the name of the key on a server. */
  readonly #keyFile: pulumi.Output<string>;

  constructor(name: string, args: CacheClientArgs, opts?: pulumi.ComponentResourceOptions) {
    super("nixos-cache:index:CacheClient", name, {}, opts);
    const servers = Array.isArray(args.server) ? args.server : [args.server];
    if (servers.length === 0) {
      throw new pulumi.InputPropertyError({
        propertyPath: "server",
        reason: `client ${name} has no server: pass the CacheServer that it fetches from`,
      });
    }

    const gone = args.gone ?? false;
    const rotation = args.rotation ?? "1";
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
    this.#keyFile = this.publicKey.apply((key) => `${name}-${fingerprintForFileName(key)}`);

    const caches = pulumi.all(
      Object.fromEntries(
        servers.map((server) => [server.name, serverForClient(server, args.priority)]),
      ),
    );
    if (gone) {
      pulumi.log.warn(`${name} is gone: it has no access any more; what stands on it stays.`, this);
    }
    const machine = new Machine(name, args, this, { abandoned: gone });
    const authorizations = gone ? [] : servers.map((server) => this.#authorize(name, server));
    const identity = machine.step(`${name}-identity`, {
      run: "identity",
      undo: "remove-identity",
      // Of a cache only what it needs, so that a new signing key is no change of it.
      stdin: pulumi
        .all([
          servers.map(({ address, port, hostKey }) => pulumi.output({ address, port, hostKey })),
          key.privateKey,
        ])
        .apply(([places, privateKey]) => identityInput(places, privateKey)),
      after: [...authorizations, ...servers.map((server) => server.ready)],
      part: "identity",
    });
    const settings = caches.apply((known) => settingsJson({ servers: known }));
    const ready = machine.settle("client", settings, [identity]);
    if (!gone) for (const server of servers) this.#takeIntoUse(name, server, ready);

    this.registerOutputs({
      publicKey: this.publicKey,
      fingerprint: this.fingerprint,
      keyCreated: this.keyCreated,
    });
  }

  /** On the server, first: this key may read too. */
  #authorize(name: string, server: CacheServer): pulumi.Resource {
    return this.#onServer(name, `${name}-authorization`, server, {
      run: "authorize",
      part: `authorization ${name}`,
    });
  }

  /**
   * On the server, last: this key is the client's only one. The others are revoked here and not before, so an
   * update that ends early leaves the client with a key that works. Taken away, it goes first: access ends even
   * where the client's machine cannot be reached.
   */
  #takeIntoUse(name: string, server: CacheServer, ready: pulumi.Resource): void {
    this.#onServer(name, `${name}-access`, server, { run: "in-use", after: [ready] });
  }

  #onServer(
    name: string,
    step: string,
    server: CacheServer,
    { run, ...more }: Pick<Step, "after" | "part"> & { run: string },
  ): pulumi.Resource {
    return server.machine.step(
      `${step}-${server.name}`,
      {
        run: pulumi.interpolate`${run} ${this.#keyFile}`,
        // Whichever was authorized last: all of this client's.
        undo: `revoke ${name}`,
        stdin: pulumi.interpolate`${this.publicKey}\n`,
        ...more,
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
