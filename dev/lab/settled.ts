/** Waits for all, so that nothing goes on behind the caller's back, then throws the first failure. */
export async function settled(all: Promise<void>[]): Promise<void> {
  await Promise.allSettled(all);
  await Promise.all(all);
}
