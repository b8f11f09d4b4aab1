import type { MachineSettings } from "../config/machines.ts";
import type { Observation } from "../machine/observation.ts";
import { dialSeconds, observe } from "../machine/observe.ts";
import { JumpHosts } from "../machine/ssh-connection.ts";
import type { Answer } from "./answer.ts";
import { type AskOptions, ask } from "./ask.ts";
import type { QuestionName } from "./question.ts";
import { machinesInOrder } from "./roles.ts";
import type { Stack } from "./stack.ts";

/** What one look at a machine has shown. */
export interface Look {
  name: string;
  machine: MachineSettings;
  /** How it stands beside what the last `up` has left. */
  observation: Observation;
  /** To the question, or why there is none, in words for a person. */
  answer: Answer | Error;
  /** When the answer came, in milliseconds since 1970. */
  at: number;
}

/**
 * Looks at all machines that may be contacted, the servers first: observes each and asks it a question. All at once, so it
 * takes as long as the slowest; connections to jump hosts are shared.
 * @param asked of the machine of that name
 */
export async function lookAtMachines(
  { name: stack, settings, login }: Stack,
  question: QuestionName,
  asked: (name: string) => AskOptions = () => ({}),
): Promise<Look[]> {
  const done = new AbortController();
  const jumpHosts = new JumpHosts({ login, dialSeconds, signal: done.signal });
  const look = async ([name, machine]: [string, MachineSettings]): Promise<Look> => {
    const { connection } = machine;
    const answered = ask(question, connection, login, { ...asked(name), jumpHosts })
      .catch((error: Error) => error)
      .then((answer) => ({ answer, at: Date.now() }));
    const observed = observe({ ...connection, component: name }, { stack, login, jumpHosts });
    return { name, machine, observation: await observed, ...(await answered) };
  };
  try {
    return await Promise.all(machinesInOrder(settings).map(look));
  } finally {
    done.abort();
  }
}
