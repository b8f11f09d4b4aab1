import { until } from "../../dev/lab/until.ts";
import type { Home } from "../system/home.ts";

/** A connection to kalaw's store that a client holds open. */
export interface Session {
  /** Whether the client's ssh has ended. */
  hasEnded(): boolean;
  /** Ends it from the client's side, if nobody has yet. */
  end(): Promise<void>;
}

/** Opens one with the client's own key; returns when kalaw serves it. */
export async function openSession(home: Home, client: string): Promise<Session> {
  const serving = async () =>
    Number(await home.on("kalaw", "pgrep -c -u nix-ssh -f 'nix-store --serve' || true"));
  const before = await serving();
  let ended = false;
  const ssh = home
    .tryOn(
      client,
      // A pipe that nobody writes to and nobody closes.
      `rm -f /run/open && mkfifo /run/open && exec 3<>/run/open &&
       ssh -F none -i /var/lib/nixos-cache/ssh/identity -o IdentitiesOnly=yes -o BatchMode=yes \
         nix-ssh@kalaw <&3`,
    )
    .then(() => {
      ended = true;
    });
  await until(async () => (await serving()) > before, {
    seconds: 30,
    otherwise: `${client} opens no session`,
  });
  return {
    hasEnded: () => ended,
    async end() {
      await home.tryOn(client, "pkill -x ssh");
      await ssh;
    },
  };
}
