import { setTimeout } from "node:timers/promises";

/** Asks again and again until `condition` gives something true, and returns that.
 * @throws after `seconds`, with the message `otherwise`. */
export async function until<T>(
  condition: () => Promise<T>,
  { seconds, otherwise }: { seconds: number; otherwise: string | (() => string | Promise<string>) },
): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) {
      const message = typeof otherwise === "string" ? otherwise : await otherwise();
      throw new Error(`${message} (waited ${seconds} s)`);
    }
    await setTimeout(50);
  }
}
