import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import input from "@inquirer/input";
import { PrivateKeyError, parsedPrivateKey } from "../../machine/private-key.ts";
import { agentSocketOf, keysOfAgent } from "../../machine/ssh-agent.ts";
import type { Place } from "./users-ssh.ts";

/**
 * The private key that Pulumi is to log in with, checked; undefined, the SSH agent has it.
 * @param identity the key's file, as the person named it; without it the agent is asked, then the person
 * @param place whose first identity file is offered to the person
 * @throws Error in words for a person, never with the key in them
 */
export async function operatorsKey(
  identity: string | undefined,
  place: Place | undefined,
  isTerminal: boolean,
): Promise<string | undefined> {
  let file = identity;
  if (file === undefined) {
    const socket = agentSocketOf(undefined);
    const keys = socket === undefined ? undefined : await keysOfAgent(socket);
    if (keys !== undefined && keys > 0) return undefined;
    if (!isTerminal) {
      throw new Error(
        "there is no SSH agent that holds a key: run ssh-add, or name your private key, like --identity ~/.ssh/id_ed25519",
      );
    }
    const used = place?.identityFiles.map(inHome).find((file) => existsSync(file));
    file = await input({
      message: "The private key that you log in with (goes encrypted into the stack file):",
      ...(used === undefined ? {} : { default: used }),
    });
  }
  const text = await readFile(inHome(file), "utf8").catch(() => {
    throw new Error(`${file} cannot be read: name the file of your private key with --identity`);
  });
  try {
    parsedPrivateKey(text);
  } catch (error) {
    if (!(error instanceof PrivateKeyError)) throw error;
    throw new Error(
      `${file} cannot be used, for ${error.message}: run ssh-add and leave --identity out, or name another file`,
    );
  }
  return text;
}

const inHome = (file: string) => file.replace(/^~(?=\/)/, homedir());
