import type { Page } from "./page.ts";

/**
 * Of the messages that the page lists as ours, those that no source has.
 * @param sources the texts of the program
 */
export function messagesNotIn(sources: readonly string[], { tables }: Page): string[] {
  const ours = tables.filter(({ under }) => under !== "Of other programs");
  const messages = ours.flatMap(({ firsts }) => firsts.flat());
  // A source has each part between what is different each time; a part of a few letters says nothing.
  const parts = messages.flatMap((message) =>
    message
      .split("…")
      .map((part) => part.trim())
      .filter((part) => part.length > 5)
      .map((part) => ({ message, part })),
  );
  const missing = parts.filter(({ part }) => !sources.some((source) => source.includes(part)));
  return missing.map(({ message }) => message);
}
