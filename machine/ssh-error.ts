import { plainWords } from "./plain-words.ts";

/** An error of ssh2 or of the socket below it. */
export type SshError = Error & { level?: string; code?: unknown };

/** Whom the connection was to. */
export interface SshTarget {
  host: string;
  port: number;
  user: string;
  /** The type of the host key that it has to have, like `ssh-ed25519`. */
  hostKeyType: string;
}

/** Whether it was the login that failed, so that the machine itself was there. */
export function isRefusal({ level }: SshError): boolean {
  return level === "client-authentication" || level === "agent";
}

/** Why there was no connection, or no more, in words for a person; nothing in them is secret. */
export function sshErrorInWords(
  { level, code, message }: SshError,
  { host, port, user, hostKeyType }: SshTarget,
): string {
  const at = `${host} port ${port}`;
  switch (level) {
    case "client-authentication":
      return `${at} does not let ${user} in with this key`;
    case "client-timeout":
      return `${at} did not answer in time`;
    case "agent":
      return "the SSH agent does not answer";
    case "client-socket":
      return socketError(String(code), host, at);
    default:
  }
  if (message.startsWith("Host denied")) {
    return `${at} has another host key than the one in the settings`;
  }
  if (message.includes("no matching host key format")) {
    return `${at} has no host key of the type of the one in the settings, ${hostKeyType}`;
  }
  if (message.startsWith("Connection lost before handshake")) {
    return `${at} closed the connection before the login; it may be refusing this address for a while after failed logins`;
  }
  // It may be the other side's own text (of a DISCONNECT, RFC 4253), and come before its host key was checked.
  return `the SSH connection to ${at} failed: ${plainWords(message)}`;
}

function socketError(code: string, host: string, at: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return `${at} refuses connections`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `there is no way to ${at}`;
    case "ETIMEDOUT":
      return `${at} did not answer in time`;
    case "ECONNRESET":
    case "EPIPE":
      return `${at} broke the connection off`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${host} is not known`;
    default:
      return `no connection to ${at}: ${code}`;
  }
}
