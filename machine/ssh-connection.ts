import { connect, Socket } from "node:net";
import type { Duplex } from "node:stream";
import ssh, { type AnyAuthMethod, Client, type ConnectConfig } from "ssh2";
import { bareHostKey, checkedHostKey } from "./host-key.ts";
import { isRefusal, type SshError, sshErrorInWords } from "./ssh-error.ts";
import type { SshLogin } from "./ssh-login.ts";

/** A machine's sshd, and whom to be there. */
export interface SshEndpoint {
  /** Host name or address. */
  host: string;
  /** @default 22 */
  port?: number | undefined;
  /** @default "root" */
  user?: string | undefined;
  /** The only host key that it may have, `type base64`, ed25519 or ECDSA; a comment may follow. */
  hostKey: string;
}

/** A machine's sshd, and the way there. */
export interface SshAddress extends SshEndpoint {
  /** Through this host, which sees `host` and `port`; the login is the same in both places. @default directly */
  jump?: SshEndpoint | undefined;
}

/**
 * The machine itself has said nothing: nobody with its host key was there, or nothing more came. So it may be off, or
 * somewhere else. Not where it refuses the login, or answers wrongly.
 */
export class NotReached extends Error {
  override name = "NotReached";
}

/** How a connection is made, and for how long it lasts. */
export interface SshDialling {
  login: SshLogin;
  /** Seconds until a login is done, at a jump host and at the machine. */
  dialSeconds: number;
  /** Aborted, it ends the connection. */
  signal: AbortSignal;
}

/**
 * Logs in on a machine.
 * @throws Error in words for a person, with nothing secret in them: no login; NotReached where there was no connection, another
 *   host key, or no answer in time
 */
export async function openSsh(
  { jump, ...machine }: SshAddress,
  dialling: SshDialling,
  jumpHosts: JumpHosts,
): Promise<Client> {
  if (jump === undefined) return logIn(machine, dialling);
  const through = await jumpHosts.to(jump);
  return logIn(machine, dialling, { over: await forward(through, jump, machine, dialling) });
}

/** One connection to each jump host, for however many machines: of many logins at once an sshd drops some (sshd_config(5), MaxStartups). */
export class JumpHosts {
  readonly #dialling: SshDialling;
  readonly #connections = new Map<string, Promise<Client>>();

  constructor(dialling: SshDialling) {
    this.#dialling = dialling;
  }

  /** @throws as `openSsh` does */
  to(jump: SshEndpoint): Promise<Client> {
    const key = JSON.stringify([jump.host, jump.port, jump.user, jump.hostKey]);
    const connection =
      this.#connections.get(key) ?? logIn(jump, this.#dialling, { who: "the jump host " });
    this.#connections.set(key, connection);
    return connection;
  }
}

async function logIn(
  endpoint: SshEndpoint,
  { login, dialSeconds, signal }: SshDialling,
  { over, who = "" }: { over?: Duplex; who?: string } = {},
): Promise<Client> {
  const { host, port = 22, user: username = "root" } = endpoint;
  const hostKey = parsedHostKey(endpoint.hostKey);
  const sock = over ?? connect({ host, port, noDelay: true });
  const client = new Client();
  const end = () => {
    client.end();
    // Not left to the other side, which may never close.
    if (sock instanceof Socket) sock.destroySoon();
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end);
  await new Promise<void>((resolve, reject) => {
    client.on("error", (error) => reject(failure(error, endpoint, who)));
    client.on("close", () => reject(brokenOff(endpoint, who)));
    client.on("ready", resolve);
    client.connect({
      // ssh2 takes any duplex stream, its types name only Readable.
      sock: sock as ConnectConfig["sock"] & Duplex,
      username,
      readyTimeout: dialSeconds * 1000,
      // Of its host keys sshd shows the one of this type, so it is this key or none.
      algorithms: { serverHostKey: [hostKey.type] },
      hostVerifier: (shown: Buffer) => shown.equals(hostKey.blob),
      authHandler: [method(login, username)],
    });
  });
  return client;
}

/** A way from the jump host to the machine, which the jump host may try for minutes. */
async function forward(
  through: Client,
  jump: SshEndpoint,
  { host, port = 22 }: SshEndpoint,
  { dialSeconds }: SshDialling,
): Promise<Duplex> {
  const [machine, from] = [`${host} port ${port}`, `the jump host ${jump.host}`];
  let limit: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      limit = setTimeout(
        () => reject(new NotReached(`${machine} did not answer ${from} in time`)),
        dialSeconds * 1000,
      );
      through.forwardOut("127.0.0.1", 0, host, port, (error, channel) => {
        if (error === undefined) resolve(channel);
        else if (Reflect.get(error, "reason") === prohibited)
          reject(
            new Error(
              `${from} forwards nothing to ${machine}: allow it there (AllowTcpForwarding)`,
            ),
          );
        else reject(new NotReached(`there is no way from ${from} to ${machine}`));
      });
    });
  } finally {
    clearTimeout(limit);
  }
}

/** RFC 4254, section 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED. */
const prohibited = 1;

/** Why a connection failed. */
export function failure(error: SshError, endpoint: SshEndpoint, who = ""): Error {
  const { host, port = 22, user = "root" } = endpoint;
  const target = { host, port, user, hostKeyType: parsedHostKey(endpoint.hostKey).type };
  const words = `${who}${sshErrorInWords(error, target)}`;
  return isRefusal(error) ? new Error(words) : new NotReached(words);
}

/** That it broke off. */
export function brokenOff({ host, port = 22 }: SshEndpoint, who = ""): Error {
  return new NotReached(`${who}${host} port ${port} broke the connection off`);
}

function parsedHostKey(line: string) {
  const key = ssh.utils.parseKey(bareHostKey(checkedHostKey(line)));
  if (key instanceof Error || Array.isArray(key)) {
    throw new Error("the host key in the settings cannot be read");
  }
  return { type: key.type as "ssh-ed25519", blob: key.getPublicSSH() };
}

function method(login: SshLogin, username: string): AnyAuthMethod {
  return "key" in login
    ? { type: "publickey", username, key: login.key }
    : { type: "agent", username, agent: login.agent };
}
