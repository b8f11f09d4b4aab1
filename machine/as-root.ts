/** The shell command as root: whoever is not root has to be allowed sudo without a password. */
export function asRoot(command: string, user = "root"): string {
  return user === "root" ? command : `sudo -n ${command}`;
}
