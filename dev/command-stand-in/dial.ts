import type { Duplex } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "ssh2";
import { dialTcp, forward, handshake } from "./connection.ts";
import type { Log } from "./engine-log.ts";
import type { Connection } from "./inputs.ts";
import { login } from "./login.ts";

/**
 * Connects, over one proxy if there is one, and tries again as the official plugin does: whatever the
 * error, after 0.1 s, then 1.5 times as long each time, up to 5 s.
 */
export async function dial(to: Connection, log: Log, signal: AbortSignal): Promise<Client> {
  const target = await login(to);
  const tries = { limit: to.dialErrorLimit, log, signal };
  if (!to.proxy) {
    return retry("Dial", tries, async () => handshake(await dialTcp(to), target));
  }
  const { proxy } = to;
  try {
    const bastion = await login(proxy);
    const through = await retry("Dial proxy", { ...tries, limit: proxy.dialErrorLimit }, async () =>
      handshake(await dialTcp(proxy), bastion),
    );
    const bridge: Duplex = await retry("Dial from proxy", tries, () => forward(through, to));
    const client = await retry("Dial", tries, () => handshake(bridge, target));
    client.on("close", () => through.end());
    return client;
  } catch (error) {
    throw new Error(`proxy: ${(error as Error).message}`, { cause: error });
  }
}

async function retry<T>(
  what: string,
  { limit, log, signal }: { limit: number; log: Log; signal: AbortSignal },
  attempt: () => Promise<T>,
): Promise<T> {
  let delay = 100;
  for (let failed = 1; ; failed++) {
    try {
      return await attempt();
    } catch (error) {
      // One dial more than the limit, and the message counts one less: so does the official plugin.
      if (limit > -1 && failed > limit) {
        const message = `after ${failed - 1} failed attempts: ${(error as Error).message}`;
        throw new Error(message, { cause: error });
      }
      log.status(`${what} ${failed}/${limit === -1 ? "inf" : limit} failed: retrying`);
    }
    try {
      await wait(delay, undefined, { signal });
    } catch (error) {
      const timedOut = (signal.reason as Error | undefined)?.name === "TimeoutError";
      const message = timedOut ? "context deadline exceeded" : "context canceled";
      throw new Error(message, { cause: error });
    }
    delay = Math.min(delay * 1.5, 5000);
  }
}
