/**
 * What a machine said, as words that are safe in a command line, a log and a terminal: letters, digits and
 * ` .,:/_()+=@%-`, at most 300 characters, or `longest`.
 */
export function plainWords(text: string, longest = 300): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[^A-Za-z0-9 .,:/_()+=@%-]/g, "")
    .trim()
    .slice(0, longest);
}
