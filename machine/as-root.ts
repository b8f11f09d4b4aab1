/** The shell command as root: whoever is not root has to be allowed sudo without a password. */
export function asRoot(command: string, user = "root"): string {
  return user === "root" ? command : `sudo -n ${command}`;
}

/** What such a command has left on stderr, for a person: with what to do, where it was sudo that failed. */
export function sudoExplained(stderr: string, user = "root"): string {
  return user !== "root" && /^(.*: )?sudo: /m.test(stderr)
    ? `${stderr.trimEnd()}: let ${user} use sudo without a password (NixOS: security.sudo), or set connection.user to root`
    : stderr;
}
