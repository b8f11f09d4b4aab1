import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { sudoExplained } from "../../machine/as-root.ts";
import { plainWords } from "../../machine/plain-words.ts";
import { Answer } from "../answer.ts";
import { type QuestionName, question, questionCommand } from "../question.ts";
import type { MachineSpec } from "./machine-spec.ts";
import type { Detour } from "./way-there.ts";

/** Where a machine is, as the person's own ssh says. */
export interface Place {
  host: string;
  port: number;
  user: string;
  /** What ssh goes by; empty, it reaches the machine directly. */
  detour: Detour;
  /** Files of private keys that ssh would try. */
  identityFiles: string[];
}

/** A host key that the person's ssh does not know. */
export class UnknownHostKey extends Error {
  /** As ssh shows it: `ssh-ed25519 SHA256:…`. */
  readonly fingerprint: string;

  constructor(host: string, fingerprint: string) {
    super(
      `your ssh does not know the host key of ${host}, which shows ${fingerprint}.\n` +
        "Compare that with what this prints on the machine's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n" +
        `If it is the same, run ssh ${host}, say yes, and run this again.`,
    );
    this.fingerprint = fingerprint;
  }
}

/**
 * The person's own ssh(1), with their configuration, known hosts and keys. It never takes a host key that it does not
 * know, whatever that configuration says.
 */
export class UsersSsh {
  readonly #options: readonly string[];

  /** @param configFile another than ssh's own */
  constructor(configFile?: string) {
    this.#options = configFile === undefined ? [] : ["-F", configFile];
  }

  /** What ssh makes of a machine's name. */
  async place(spec: MachineSpec): Promise<Place> {
    const { stdout } = await this.#run(["-G", ...target(spec)]);
    const value = (keyword: string) =>
      stdout.split("\n").flatMap((line) => {
        const [its, ...rest] = line.split(" ");
        return its === keyword ? [rest.join(" ")] : [];
      });
    const [jump, command] = ["proxyjump", "proxycommand"].map((keyword) =>
      value(keyword).find((words) => words !== "none"),
    );
    return {
      host: value("hostname")[0] ?? spec.host,
      port: Number(value("port")[0] ?? 22),
      user: spec.user ?? "root",
      detour: {
        ...(jump === undefined ? {} : { jump }),
        ...(command === undefined ? {} : { command }),
      },
      identityFiles: value("identityfile"),
    };
  }

  /**
   * Asks a machine a question as root (cli/questions).
   * @throws UnknownHostKey, or Error in words for a person
   */
  async ask(name: QuestionName, spec: MachineSpec, words: readonly string[] = []): Promise<Answer> {
    const command = questionCommand(words, spec.user);
    const careful = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-T"];
    const { status, stdout, stderr } = await this.#run(
      [...careful, ...target(spec), command],
      question(name),
    );
    if (status === 0) return new Answer(stdout);
    if (/IDENTIFICATION HAS CHANGED/.test(stderr)) {
      throw new Error(
        `${spec.host} shows another host key than your ssh knows: somebody may be in between, or it was installed anew`,
      );
    }
    if (/Host key verification failed/.test(stderr)) {
      throw new UnknownHostKey(spec.host, await this.#shownKey(spec));
    }
    const said = plainWords(sudoExplained(stderr.trim().split("\n").at(-1) ?? "", spec.user));
    throw new Error(`${spec.host} cannot be asked: ${said || `ssh ended with status ${status}`}`);
  }

  /** Lets ssh itself ask the person whether a host key is the right one; it remembers a yes as it always does. */
  async askPerson(spec: MachineSpec): Promise<void> {
    const argv = [...this.#options, "-o", "StrictHostKeyChecking=ask", ...target(spec), "true"];
    const child = spawn("ssh", argv, { stdio: "inherit" });
    await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  }

  async #shownKey(spec: MachineSpec): Promise<string> {
    const options = ["-v", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"];
    const { stderr } = await this.#run([...options, ...target(spec), "true"]);
    // With a jump, the last is the machine's.
    const shown = [...stderr.matchAll(/Server host key: (\S+ SHA256:\S+)/g)].at(-1)?.[1];
    return shown === undefined ? "a key that ssh does not show" : plainWords(shown);
  }

  async #run(args: readonly string[], stdin = "") {
    const child = spawn("ssh", [...this.#options, ...args], { stdio: "pipe" });
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on("error", () => reject(new Error("there is no ssh on PATH: install OpenSSH")));
      child.on("close", resolve);
    });
    const [status, stdout, stderr] = await Promise.all([
      ended,
      text(child.stdout),
      text(child.stderr),
    ]);
    return { status, stdout, stderr };
  }
}

function target({ user = "root", host, port }: MachineSpec): string[] {
  return [...(port === undefined ? [] : ["-p", String(port)]), "-l", user, "--", host];
}
