import type { types } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { checkedHostKey } from "../machine/host-key.ts";

/** How the operator reaches a machine over SSH. */
export interface ConnectionArgs {
  /** Host name or address, as seen from the operator's computer. */
  host: pulumi.Input<string>;
  /** @default 22 */
  port?: pulumi.Input<number> | undefined;
  /** Root, or a user who may use sudo without a password. @default "root" */
  user?: pulumi.Input<string> | undefined;
  /**
   * The machine's SSH host key, ed25519 or ECDSA: `ssh-ed25519 AAAA…`, one line of
   * `/etc/ssh/ssh_host_ed25519_key.pub`. Without it the plugin would verify nothing, so it is required.
   */
  hostKey: pulumi.Input<string>;
  /** The operator's private key, PEM. @default the SSH agent's keys */
  privateKey?: pulumi.Input<string> | undefined;
  /** The passphrase of `privateKey`. */
  privateKeyPassword?: pulumi.Input<string> | undefined;
  /** The path of the SSH agent's socket. @default SSH_AUTH_SOCK in the environment of `pulumi` */
  agentSocket?: pulumi.Input<string> | undefined;
  /** Through this host, which sees `host` and `port`; the login is the same in both places. @default directly */
  jump?: pulumi.Input<JumpArgs> | undefined;
}

/** A jump host on the way to a machine: nothing is done there, but its sshd has to forward connections. */
export interface JumpArgs {
  /** Host name or address, as seen from the operator's computer. */
  host: pulumi.Input<string>;
  /** @default 22 */
  port?: pulumi.Input<number> | undefined;
  /** Needs no rights there. @default "root" */
  user?: pulumi.Input<string> | undefined;
  /** The jump host's own SSH host key, ed25519 or ECDSA: `ssh-ed25519 AAAA…`. */
  hostKey: pulumi.Input<string>;
}

/**
 * The connection as the `command` plugin takes it. Field by field, never spread: for an unknown field the
 * plugin prints the whole object, the private key with it.
 */
export function commandConnection(
  args: ConnectionArgs,
  dialErrorLimit: pulumi.Input<number> = 5,
): types.input.remote.ConnectionArgs {
  const { privateKey, privateKeyPassword, agentSocket, jump } = args;
  const login = {
    ...(privateKey !== undefined && { privateKey }),
    ...(privateKeyPassword !== undefined && { privateKeyPassword }),
    ...(agentSocket !== undefined && { agentSocketPath: agentSocket }),
  };
  return {
    ...endpoint(args),
    ...login,
    // 6 dials: a second of patience with an sshd that restarts, half a minute with a host that is off. Not
    // more: the plugin dials again after a failed login too, and sshd penalises that (sshd_config(5),
    // PerSourcePenalties).
    dialErrorLimit,
    perDialTimeout: 5,
    ...(jump !== undefined && {
      proxy: pulumi.output(jump).apply((known) => ({
        ...endpoint(known),
        ...login,
        dialErrorLimit: 5,
        perDialTimeout: 5,
      })),
    }),
  };
}

function endpoint({ host, port = 22, user = "root", hostKey }: ConnectionArgs | JumpArgs) {
  // Of an Output it shows only late that it has no host key. Then this fails, and no step with it is registered.
  return { host, port, user, hostKey: pulumi.output(hostKey).apply(checkedHostKey) };
}

/**
 * The `dialErrorLimit` with which the plugin goes on dialling a host that refuses for as many seconds. It waits
 * 0.1 s after the first dial and half as long again after each further one, up to 5 s.
 */
export function dialsFor(seconds: number): number {
  let dials = 0;
  for (let waited = 0, wait = 0.1; waited < seconds; dials++) {
    waited += wait;
    wait = Math.min(wait * 1.5, 5);
  }
  return dials;
}
