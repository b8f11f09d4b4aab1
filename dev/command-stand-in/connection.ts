import { connect, isIPv6, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Client, type ConnectConfig } from "ssh2";
import type { Endpoint } from "./inputs.ts";
import { type Login, methods } from "./login.ts";
import { quote } from "./quote.ts";

type Address = Pick<Endpoint, "host" | "port">;

/** Opens the TCP connection; `perDialTimeout` covers this and nothing after it. */
export function dialTcp(to: Endpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const at = `dial tcp ${address(to)}`;
    const socket = connect({ host: to.host, port: Math.trunc(to.port), noDelay: true });
    if (to.perDialTimeout > 0) socket.setTimeout(to.perDialTimeout * 1000);
    socket.once("timeout", () => socket.destroy(new Error(`${at}: i/o timeout`)));
    socket.once("connect", () => {
      socket.setTimeout(0);
      keepAlive(socket);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const message = error.code ? tcpMessage(error.code, at, to.host) : error.message;
      reject(new Error(message, { cause: error }));
    });
  });
}

/**
 * Gives a host up that is silent for 150 s, as Go does: nine probes, one every 15 s. A Node.js older than
 * ours takes neither interval nor count: it asks ten times, every second.
 */
function keepAlive(socket: Socket): void {
  // The types do not know the last two either.
  const set: (on: boolean, idle: number, interval: number, count: number) => void =
    socket.setKeepAlive;
  set.call(socket, true, 15_000, 15_000, 9);
}

/** Opens a connection from the proxy to the address. */
export function forward(proxy: Client, to: Address): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    proxy.forwardOut("0.0.0.0", 0, to.host, Math.trunc(to.port), (error, channel) => {
      if (!error) return resolve(channel);
      const reason = error.message.replace(/^\(SSH\) Channel open failure: /, "");
      reject(new Error(`ssh: rejected: connect failed (${quote(reason)})`, { cause: error }));
    });
  });
}

/** Speaks SSH over an open connection: host key, then login. No time limit, as in the official plugin. */
export function handshake(sock: Duplex, as: Login): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new Client();
    const tried = ["none"];
    let offered = "";
    const config: ConnectConfig = {
      // ssh2 takes any duplex stream, its types name only Readable.
      sock: sock as ConnectConfig["sock"] & Duplex,
      username: as.user,
      readyTimeout: 0,
      debug: (line) => {
        offered = /^Handshake: \(remote\) Host key format: (.*)$/.exec(line)?.[1] ?? offered;
      },
      authHandler: (left, _partial, next) => {
        // The first call comes before the server has named its methods.
        if (!left) return next({ type: "none", username: as.user });
        const method = methods(as).find((name) => {
          const wire = name === "agent" ? "publickey" : name;
          return !tried.includes(wire) && left.includes(wire);
        });
        tried.push(method === "agent" ? "publickey" : (method ?? ""));
        // `false` ends the attempts; the types of ssh2 know it only in its other signature.
        next(attempt(method, as) as "none");
      },
    };
    const { hostKey } = as;
    if (hostKey) {
      config.algorithms = { serverHostKey: [hostKey.type as "ssh-ed25519"] };
      config.hostVerifier = (key: Buffer) => key.equals(hostKey.blob);
    }
    client.once("ready", () => {
      client.removeAllListeners("error");
      // From here on a broken connection shows as the command's missing exit status.
      client.on("error", () => client.end());
      resolve(client);
    });
    client.once("error", (error) => {
      client.on("error", () => undefined);
      client.end();
      sock.destroy();
      const reason = sshMessage(error, tried.filter(Boolean), hostKey?.type ?? "", offered);
      reject(new Error(`ssh: handshake failed: ${reason}`, { cause: error }));
    });
    client.connect(config);
  });
}

function attempt(method: string | undefined, as: Login): unknown {
  const username = as.user;
  if (method === "publickey") return { type: method, username, key: as.key };
  if (method === "password") return { type: method, username, password: as.password };
  if (method === "agent") return { type: method, username, agent: as.agent };
  if (method !== "keyboard-interactive") return false;
  const prompt = (
    _name: string,
    _instructions: string,
    _language: string,
    questions: unknown[],
    answer: (answers: string[]) => void,
  ) => answer(questions.map(() => as.password ?? ""));
  return { type: method, username, prompt };
}

function address({ host, port }: Address): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${Math.trunc(port)}`;
}

function tcpMessage(code: string, at: string, host: string): string {
  const reasons: Record<string, string> = {
    ECONNREFUSED: "connection refused",
    EHOSTUNREACH: "no route to host",
    ENETUNREACH: "network is unreachable",
    ETIMEDOUT: "connection timed out",
    ECONNRESET: "connection reset by peer",
  };
  if (/^E(NOTFOUND|AI_)/.test(code)) return `dial tcp: lookup ${host}: no such host`;
  return `${at}: connect: ${reasons[code] ?? code}`;
}

function sshMessage(
  error: Error & { level?: string },
  tried: string[],
  keyType: string,
  offered: string,
): string {
  if (error.level === "client-authentication") {
    return `ssh: unable to authenticate, attempted methods [${tried.join(" ")}], no supported methods remain`;
  }
  if (/Host denied/.test(error.message)) return "ssh: host key mismatch";
  if (/no matching host key format/.test(error.message)) {
    const quoted = (names: string[]) => `[${names.map((name) => `"${name}"`).join(" ")}]`;
    return `ssh: no common algorithm for host key; we offered: ${quoted([keyType])}, peer offered: ${quoted(offered.split(","))}`;
  }
  if (/Connection lost before handshake/.test(error.message)) return "EOF";
  return error.message;
}
