const reasons: Record<string, string> = {
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOENT: "no such file or directory",
};

/** What failed with a file of the operator's, as Go says it. */
export function localMessage(error: NodeJS.ErrnoException, path: string): string {
  return `${error.syscall} ${path}: ${reasons[error.code ?? ""] ?? error.code}`;
}
