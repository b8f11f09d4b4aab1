/**
 * What a client has to know of its server, as plain data: what a `CacheServer` puts out (`data`), for a client in another stack.
 */
export interface ServerData {
  /** The server's name, in its client's settings. */
  name: string;
  /** The host name or address under which clients reach it. */
  address: string;
  /** The port of its sshd, for clients. */
  port: number;
  /** Its SSH host key, as `type base64`. */
  hostKey: string;
  /** `name:base64` (nix.conf(5), `trusted-public-keys`). */
  trustedPublicKey: string;
  /** When the signing key was made: ISO 8601, UTC. */
  keyCreated?: string | undefined;
  /**
   * The SSH keys of clients in other stacks that may read, as `type base64`. A client whose new key is not among them goes on with the
   * key that it has. Without this list it tries the new key, and fails where the server refuses it.
   */
  authorizedKeys?: string[] | undefined;
}
