import ssh from "ssh2";

/**
 * The socket of the SSH agent that the operator logs in by.
 * @param own as the settings have it
 * @param variable the same as the shell has it; an empty one is none
 * @returns undefined where there is neither
 */
export function agentSocketOf(
  own: string | undefined,
  variable = process.env.SSH_AUTH_SOCK,
): string | undefined {
  return own ?? (variable || undefined);
}

/**
 * How many keys an SSH agent holds; undefined where it does not answer.
 * @param seconds until it has to have answered
 */
export async function keysOfAgent(socket: string, seconds = 5): Promise<number | undefined> {
  let limit: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve) => {
      limit = setTimeout(resolve, seconds * 1000, undefined);
      ssh.createAgent(socket).getIdentities((error, keys = []) => {
        resolve(error ? undefined : keys.length);
      });
    });
  } finally {
    clearTimeout(limit);
  }
}
