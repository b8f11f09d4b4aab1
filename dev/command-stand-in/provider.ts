import { randomBytes } from "node:crypto";
import {
  type ServerUnaryCall,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { command } from "./command.ts";
import { copyToRemote } from "./copy-to-remote.ts";
import { type Change, diff } from "./diff.ts";
import type { EngineLog } from "./engine-log.ts";
import { check } from "./inputs.ts";
import type { Properties } from "./properties.ts";
import type { Call, ResourceType } from "./resource-type.ts";

const version = "1.2.1";
const types: Record<string, ResourceType> = {
  "command:remote:Command": command,
  "command:remote:CopyToRemote": copyToRemote,
};
const known = Object.keys(types).join(" and ");

/**
 * The official plugin's resources that our program uses, spoken in the engine's own protocol: the `Provider` interface
 * of @pulumi/pulumi/provider tells neither a preview from an update nor the engine's address to log to.
 */
export class CommandProvider {
  readonly #log: EngineLog;
  readonly #cancelled = new AbortController();

  constructor(log: EngineLog) {
    this.#log = log;
  }

  /** What the gRPC server calls. A method of the protocol that is not here answers "unimplemented". */
  methods(): UntypedServiceImplementation {
    return {
      getPluginInfo: this.#answer(async () => {
        const response = new plugin.PluginInfo();
        response.setVersion(version);
        return response;
      }),
      getSchema: this.#answer(async () => {
        const response = new messages.GetSchemaResponse();
        const description = `Stand-in for the official plugin; ${known} only.`;
        const resources = Object.fromEntries(Object.keys(types).map((type) => [type, {}]));
        response.setSchema(JSON.stringify({ name: "command", version, description, resources }));
        return response;
      }),
      configure: this.#answer(async () => {
        const response = new messages.ConfigureResponse();
        response.setAcceptsecrets(true);
        response.setSupportspreview(true);
        return response;
      }),
      check: this.#answer((request: Message<"CheckRequest">) => this.#check(request)),
      diff: this.#answer(async (request: Message<"DiffRequest">) => this.#diff(request)),
      create: this.#answer((request: Message<"CreateRequest">) => this.#create(request)),
      update: this.#answer((request: Message<"UpdateRequest">) => this.#update(request)),
      delete: this.#answer((request: Message<"DeleteRequest">) => this.#delete(request)),
      read: this.#answer(async (request: Message<"ReadRequest">) => {
        const response = new messages.ReadResponse();
        response.setId(request.getId());
        response.setProperties(request.getProperties());
        response.setInputs(request.getInputs());
        return response;
      }),
      cancel: this.#answer(async () => {
        this.#cancelled.abort();
        return new empty.Empty();
      }),
    };
  }

  async #check(request: Message<"CheckRequest">) {
    const { inputs, failures } = check(read(request.getNews()), typeOf(request).inputs);
    const response = new messages.CheckResponse();
    response.setInputs(struct.Struct.fromJavaScript(inputs as never));
    for (const { property, reason } of failures) {
      const failure = new messages.CheckFailure();
      failure.setProperty(property);
      failure.setReason(reason);
      response.addFailures(failure);
    }
    return response;
  }

  #diff(request: Message<"DiffRequest">) {
    const changes = diff(read(request.getOldInputs()), read(request.getNews()));
    const response = new messages.DiffResponse();
    const { DIFF_SOME, DIFF_NONE } = messages.DiffResponse.DiffChanges;
    response.setChanges(changes.size > 0 ? DIFF_SOME : DIFF_NONE);
    response.setHasdetaileddiff(true);
    for (const [path, change] of changes) {
      const entry = new messages.PropertyDiff();
      // A change inside `triggers` replaces by the SDK's `replaceOnChanges`, the whole of it by ours.
      entry.setKind(kind(change, path === "triggers"));
      response.getDetaileddiffMap().set(path, entry);
      response.addDiffs(path.split(/[.[]/)[0] ?? path);
      if (path === "triggers") response.addReplaces(path);
    }
    return response;
  }

  async #create(request: Message<"CreateRequest">) {
    const type = typeOf(request);
    const inputs = read(request.getProperties());
    const outputs = request.getPreview()
      ? type.unknownOutputs
      : await type.create(inputs, this.#call(request));
    const response = new messages.CreateResponse();
    response.setId(type.idStart(request.getName()) + randomBytes(4).toString("hex"));
    response.setProperties(struct.Struct.fromJavaScript({ ...inputs, ...outputs } as never));
    return response;
  }

  async #update(request: Message<"UpdateRequest">) {
    const type = typeOf(request);
    const inputs = read(request.getNews());
    const outputs = request.getPreview()
      ? type.unknownOutputs
      : await type.update(inputs, read(request.getOlds()), this.#call(request));
    const response = new messages.UpdateResponse();
    response.setProperties(struct.Struct.fromJavaScript({ ...inputs, ...outputs } as never));
    return response;
  }

  async #delete(request: Message<"DeleteRequest">) {
    await typeOf(request).delete(read(request.getProperties()), this.#call(request));
    return new empty.Empty();
  }

  #call(request: { getUrn(): string; getTimeout(): number }): Call {
    const signals = [this.#cancelled.signal];
    if (request.getTimeout() > 0) signals.push(AbortSignal.timeout(request.getTimeout() * 1000));
    return { log: this.#log.of(request.getUrn()), signal: AbortSignal.any(signals) };
  }

  #answer<Request, Response>(handle: (request: Request) => Promise<Response>) {
    return async (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
      try {
        const response = await handle(call.request);
        await this.#log.flushed();
        callback(null, response);
      } catch (error) {
        await this.#log.flushed();
        callback({ code: status.UNKNOWN, details: (error as Error).message });
      }
    };
  }
}

type Message<Name extends keyof typeof messages> = (typeof messages)[Name] extends {
  prototype: infer Instance;
}
  ? Instance
  : never;

function typeOf(request: { getUrn(): string }): ResourceType {
  // urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME
  const name = request.getUrn().split("::")[2]?.split("$").at(-1) ?? "";
  const type = types[name];
  if (type) return type;
  throw new Error(
    `the stand-in for the command plugin has only ${known}, not ${name}: install the official plugin`,
  );
}

function read(properties: struct.Struct | undefined): Properties {
  return properties?.toJavaScript() ?? {};
}

function kind(change: Change, replace: boolean) {
  const { Kind } = messages.PropertyDiff;
  if (change === "add") return replace ? Kind.ADD_REPLACE : Kind.ADD;
  if (change === "delete") return replace ? Kind.DELETE_REPLACE : Kind.DELETE;
  return replace ? Kind.UPDATE_REPLACE : Kind.UPDATE;
}
