/** What a person sees of one step of an update, in the order in which they see it. */
export function said(update: string, resource: string): string[] {
  return update
    .split("\n")
    .filter((line) => line.includes(` ${resource} updating `) && line.includes("; "))
    .map((line) => line.slice(line.indexOf("; ") + 2));
}
