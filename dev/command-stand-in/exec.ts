import type { Client, ClientChannel } from "ssh2";

/** The parts of ssh2 below its public interface: it sends `env` without asking for an answer. */
interface Internals {
  _protocol: {
    exec(id: number, command: string, wantReply: boolean): void;
    env(id: number, name: string, value: string, wantReply: boolean): void;
  };
  _chanMgr: { get(id: number): { _callbacks: ((refused: boolean) => void)[] } };
}

export interface Variable {
  name: string;
  value: string;
  /** Called when the server does not accept it; throw to give up before the command starts. */
  refused: () => void;
}

/** Starts a command after the server has answered to every environment variable. */
export function exec(
  client: Client,
  command: string,
  environment: Variable[],
): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const { _protocol: protocol, _chanMgr: channels } = client as unknown as Internals;
    const start = protocol.exec.bind(protocol);
    protocol.exec = (id, line, wantReply) => {
      const callbacks = channels.get(id)._callbacks;
      const started = callbacks.pop();
      const next = (index: number) => {
        const variable = environment[index];
        if (!variable) {
          if (started) callbacks.push(started);
          start(id, line, wantReply);
          return;
        }
        callbacks.push((refused) => {
          try {
            if (refused) variable.refused();
            next(index + 1);
          } catch (error) {
            reject(error);
          }
        });
        protocol.env(id, variable.name, variable.value, true);
      };
      next(0);
    };
    client.on("error", reject);
    client.on("close", () => reject(new Error("EOF")));
    client.exec(command, (error, channel) => {
      if (error) reject(error);
      else resolve(channel);
    });
  });
}
