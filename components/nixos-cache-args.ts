// The words of the component NixosCache, in the types that Pulumi can carry into other languages: interfaces with names, no unions.
import type * as pulumi from "@pulumi/pulumi";

/**
 * The settings of the stack file (docs/reference/settings.md), as arguments. All but the operator's login are plain values, not Outputs: the
 * machines are looked at before anything is declared.
 */
export interface NixosCacheArgs {
  /** The machines that serve, by name. */
  servers: { [name: string]: Server };
  /** Servers of other stacks, by name, for `clients.NAME.servers`. */
  otherServers?: { [name: string]: OtherServer };
  /** The machines that fetch, by name. A machine in both groups has the same connection in both. */
  clients?: { [name: string]: Client };
  /** The operator's private key, the whole file. Without it the SSH agent is asked. */
  privateKey?: pulumi.Input<string>;
  /** The passphrase of `privateKey`. */
  privateKeyPassword?: pulumi.Input<string>;
  /** Any text; another value renews all keys. By default "1". */
  rotation?: string;
  /** Days, like 90d: all keys are renewed by the first update in each period of that length. By default never. */
  rotateEvery?: string;
  /** Look at each machine at the start of a preview or an update. By default true. */
  observe?: boolean;
  /** The path of the SSH agent's socket. By default SSH_AUTH_SOCK in the environment of `pulumi`. */
  agentSocket?: string;
  /** Let a preview show what a rebuild would change. By default false. */
  plan?: boolean;
}

/** A machine, whatever it does. */
export interface Machine {
  /** How the operator reaches it. */
  connection: Connection;
  /** Any text; another value renews its own key. */
  rotation?: string;
  /** Who deploys its settings, and from what. */
  rebuild?: Rebuild;
  /** Seconds, 10 to 3600, in which a rebuilt machine has to be reached again; otherwise it goes back. By default 60. */
  confirmWithin?: number;
  /** Refuse a rebuild that would change more on the machine than the cache. By default false. */
  onlyOurs?: boolean;
  /** Take the machine over from another stack. By default false. */
  takeOver?: boolean;
}

/** A machine that serves. */
export interface Server extends Machine {
  /** The host name or address under which clients reach it. By default its name. */
  address?: string;
  /** The port of its sshd, for clients. By default `connection.port`. */
  port?: number;
  /** End the access of keys that are not of our stacks. By default false. */
  onlyOurKeys?: boolean;
  /** Systems of clients that it builds or fetches ahead of time, and keeps. By default none. */
  warm?: Warm;
  /** The clients of other stacks that it lets in, by name. */
  otherClients?: { [name: string]: OtherClient };
}

/** What a server builds on a timer, so that its clients find it there. */
export interface Warm {
  /** A flake's URL, or its absolute path on the server; it has the systems in `nixosConfigurations`. */
  flake: string;
  /** Their names there. */
  systems: string[];
  /** When: a calendar event of systemd.time(7). By default daily. */
  startAt?: string;
  /**
   * A user of the server, not root, who evaluates the flake with their own credentials for it. By default one without any rights,
   * for a flake that everybody can read.
   */
  user?: string;
  /** How many different builds of each system are kept from garbage collection: 1 to 1000. By default 3. */
  keep?: number;
  /** How much is kept in all: bytes, or with K, M, G or T in units of 1024. The oldest builds go. By default without limit. */
  maxSize?: string;
}

/** A server of another stack: that stack, or what it puts out. */
export interface OtherServer {
  /** organization/project/stack, whose output `servers` has it. */
  stack?: string;
  /** The host name or address under which clients reach it. By default its name. */
  address?: string;
  /** The port of its sshd, for clients. By default 22. */
  port?: number;
  /** Its SSH host key. */
  hostKey?: string;
  /** `name:base64` (nix.conf(5), `trusted-public-keys`). */
  trustedPublicKey?: string;
}

/** A client of another stack. */
export interface OtherClient {
  /** organization/project/stack, whose output `clients` has its keys. */
  stack: string;
}

/** A machine that fetches. */
export interface Client extends Machine {
  /** The names of the servers that it fetches from. */
  servers: string[];
  /** Lower is asked first; cache.nixos.org has 40. By default Nix's own for an SSH store: 0. */
  priority?: number;
  /** `ssh` or `ssh-ng`. By default `ssh-ng` if it has Nix 2.34 or newer, else `ssh`. */
  protocol?: string;
  /** The machine is lost: its access ends, and it is not contacted any more. By default false. */
  gone?: boolean;
  /** The machine is not always on: while it does not answer it is left for a later update. By default false. */
  mayBeOff?: boolean;
}

/** How the operator reaches a machine over SSH. */
export interface Connection {
  /** Host name or address, without user, port or scheme. */
  host: string;
  /** By default 22. */
  port?: number;
  /** Root, or a user who may use sudo without a password. By default root. */
  user?: string;
  /** The machine's SSH host key, `ssh-ed25519 AAAA…` or ECDSA; a comment may follow. */
  hostKey: string;
  /** Through this host, which sees `host` and `port`; the login is the same in both places. By default directly. */
  jump?: Jump;
}

/** A jump host on the way to a machine: nothing is done there, but its sshd has to forward connections. */
export interface Jump {
  /** Host name or address, as seen from the operator's computer. */
  host: string;
  /** By default 22. */
  port?: number;
  /** Needs no rights there. By default root. */
  user?: string;
  /** The jump host's own SSH host key, `ssh-ed25519 AAAA…` or ECDSA. */
  hostKey: string;
}

/** How settings get into a machine's system. */
export interface Rebuild {
  /** `pulumi` or `owner`. By default pulumi, and a machine that somebody else deploys is left alone. */
  by?: string;
  /** `flake` or `channel`: what `nixos-rebuild` builds in /etc/nixos. By default a flake, if there is one. */
  from?: string;
  /** Of a flake: the entry of `nixosConfigurations`. By default the machine's host name. */
  attribute?: string;
}

/** What a client in another stack has to know of a server. */
export interface ServerData {
  name: string;
  address: string;
  port: number;
  /** `type base64`. */
  hostKey: string;
  /** `name:base64` (nix.conf(5), `trusted-public-keys`). */
  trustedPublicKey: string;
  /** ISO 8601, UTC. */
  keyCreated: string;
  /** The SSH keys of clients in other stacks that may read, as `type base64`. */
  authorizedKeys: string[];
}

/** The newest SSH key of a client, and what a server in another stack has to know of it. */
export interface ClientData {
  /** One line as in authorized_keys. */
  publicKey: string;
  /** As `ssh-keygen -l` prints it. */
  fingerprint: string;
  /** ISO 8601, UTC. */
  keyCreated: string;
  /** The newest key, and the one that it still reads with, if that is another. */
  publicKeys: string[];
  /** By the servers' names, the name of the signing key that it trusts each of them by. */
  trusts: { [name: string]: string };
}

/** A machine's `services.nixos-cache` (nixos/module.nix): for owners who deploy it themselves. */
export interface ModuleOptions {
  server?: ServerOptions;
  client?: ClientOptions;
}

/** `services.nixos-cache.server`. */
export interface ServerOptions {
  enable: boolean;
  onlyOurKeys: boolean;
  warm?: Warm;
}

/** `services.nixos-cache.client`. */
export interface ClientOptions {
  servers: { [name: string]: ServerOfClient };
}

/** A cache as its client's configuration knows it. */
export interface ServerOfClient {
  address: string;
  port: number;
  hostKey: string;
  priority?: number;
  protocol?: string;
}
