import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { credentials } from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import { GetSchemaRequest } from "@pulumi/pulumi/proto/provider_pb.js";
import { checkout } from "../../dev/tools/checkout.ts";

/** The schema of the plugin in a folder, started as Pulumi's language host does: in its folder, over gRPC. */
export async function schemaServedBy(folder: string): Promise<string> {
  const runPlugin = join(checkout, "node_modules/@pulumi/pulumi/cmd/run-plugin");
  const plugin = spawn(process.execPath, [runPlugin, folder], { cwd: folder });
  try {
    const [port] = await once(createInterface(plugin.stdout), "line");
    const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure());
    try {
      return await new Promise((resolve, reject) => {
        client.getSchema(new GetSchemaRequest(), (error, response) =>
          error ? reject(error) : resolve(response.getSchema()),
        );
      });
    } finally {
      client.close();
    }
  } finally {
    plugin.kill();
  }
}
