import { Server, ServerCredentials } from "@grpc/grpc-js";
import service from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import { EngineLog } from "./engine-log.ts";
import { CommandProvider } from "./provider.ts";

// The engine gives its own address as the only argument, and reads our port from the first line of stdout.
const engineAddress = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
const log = new EngineLog(engineAddress);
log.debug("stand-in for the official `command` plugin 1.2.1");

const server = new Server({
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
});
server.addService(service.ResourceProviderService, new CommandProvider(log).methods());
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
