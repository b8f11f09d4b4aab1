import { until } from "../../dev/lab/until.ts";
import type { Home } from "../system/home.ts";
import { identity, withKey } from "./keys.ts";

/** A connection to kalaw as nix-ssh that a client holds open. */
export interface Session {
  /** Whether the client's ssh has ended. */
  hasEnded(): boolean;
  /** Ends it from the client's side, if nobody has yet. */
  end(): Promise<void>;
}

let count = 0;

/** Opens one in which kalaw serves its store, with the client's own key or another; returns when it does. */
export async function openSession(home: Home, client: string, key = identity): Promise<Session> {
  const serving = async () =>
    Number(await home.on("kalaw", "pgrep -c -u nix-ssh -f 'nix-store --serve' || true"));
  const before = await serving();
  const pipe = `/run/session-${count++}`;
  // A pipe that nobody writes to and nobody closes.
  const session = start(
    home,
    client,
    `mkfifo ${pipe} && exec 3<>${pipe} && exec ssh ${withKey(key)} nix-ssh@kalaw <&3`,
    pipe,
  );
  await until(async () => (await serving()) > before, {
    seconds: 30,
    otherwise: `${client} opens no session`,
  });
  return session;
}

/** A connection that has logged in and has no session, but could open one at any time (ssh(1), -N and -M). */
export interface IdleConnection extends Session {
  /** Whether it is still there, as ssh says on the client. */
  holds(): Promise<boolean>;
  /** Opens a session in it, which stays open. */
  openSession(): Promise<void>;
}

/** Opens one with the client's own key or another; returns when kalaw has let it in. */
export async function openIdleConnection(
  home: Home,
  client: string,
  key = identity,
): Promise<IdleConnection> {
  const socket = `/run/connection-${count++}`;
  const session = start(
    home,
    client,
    `exec ssh ${withKey(key)} -N -M -S ${socket} nix-ssh@kalaw`,
    socket,
  );
  const holds = async () =>
    (await home.tryOn(client, `ssh -S ${socket} -O check nix-ssh@kalaw`)).code === 0;
  await until(holds, { seconds: 30, otherwise: `${client} is not let in` });
  return {
    ...session,
    holds,
    async openSession() {
      await home.on(
        client,
        `mkfifo ${socket}.pipe && exec 3<>${socket}.pipe
         ssh -S ${socket} nix-ssh@kalaw <&3 >/dev/null 2>&1 &`,
      );
    },
  };
}

/** @param name stands in the command line of this ssh alone, or is the pipe that it reads */
function start(home: Home, client: string, script: string, name: string): Session {
  let ended = false;
  const ssh = home.tryOn(client, `echo $$ >${name}.pid && ${script}`).then(() => {
    ended = true;
  });
  return {
    hasEnded: () => ended,
    async end() {
      await home.tryOn(client, `kill $(cat ${name}.pid)`);
      await ssh;
    },
  };
}
