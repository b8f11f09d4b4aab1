import { credentials } from "@grpc/grpc-js";
import engineService from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine from "@pulumi/pulumi/proto/engine_pb.js";

/** Messages about one resource. */
export interface Log {
  /** Shown only while it is the newest: the progress of a command or a dial. */
  status(message: string): void;
  warning(message: string): void;
  error(message: string): void;
}

/** Sends messages to the engine, in order; without an engine (plugin started by hand) to stderr. */
export class EngineLog {
  readonly #client: InstanceType<typeof engineService.EngineClient> | undefined;
  #sent: Promise<void> = Promise.resolve();

  constructor(address: string | undefined) {
    this.#client = address
      ? new engineService.EngineClient(address, credentials.createInsecure())
      : undefined;
  }

  debug(message: string): void {
    this.#send(engine.LogSeverity.DEBUG, "", message, false);
  }

  of(urn: string): Log {
    return {
      status: (message) => this.#send(engine.LogSeverity.INFO, urn, message, true),
      warning: (message) => this.#send(engine.LogSeverity.WARNING, urn, message, false),
      error: (message) => this.#send(engine.LogSeverity.ERROR, urn, message, false),
    };
  }

  /** Resolves when the engine has everything sent so far: an answer must not overtake its messages. */
  flushed(): Promise<void> {
    return this.#sent;
  }

  #send(severity: 0 | 1 | 2 | 3, urn: string, message: string, ephemeral: boolean): void {
    const client = this.#client;
    if (!client) {
      process.stderr.write(`${message}\n`);
      return;
    }
    const request = new engine.LogRequest();
    request.setSeverity(severity);
    request.setUrn(urn);
    request.setMessage(message);
    request.setEphemeral(ephemeral);
    this.#sent = this.#sent.then(
      () =>
        new Promise((resolve) => {
          client.log(request, (error) => {
            if (error)
              process.stderr.write(`${message}\n(engine did not take it: ${error.message})\n`);
            resolve();
          });
        }),
    );
  }
}
