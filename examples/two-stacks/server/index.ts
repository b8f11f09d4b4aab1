import * as pulumi from "@pulumi/pulumi";
import { CacheServer, type CacheServerArgs } from "pulumi-nixos-cache";

// Who runs this stack can log in on `kalaw`, and on no other machine. The first time:
//   1. here:         pulumi up
//   2. in ../client: pulumi config set server organization/two-stacks-server/home, then pulumi up. pai waits to be let in.
//   3. here:         pulumi config set client organization/two-stacks-client/home, then pulumi up
//   4. in ../client: pulumi up
// A renewed key goes the same way, and pai fetches all the while.
const client = new pulumi.Config().get("client");
const otherClients: CacheServerArgs["otherClients"] =
  client === undefined ? {} : { pai: new pulumi.StackReference(client).requireOutput("pai") };

const kalaw = new CacheServer("kalaw", {
  connection: {
    host: "kalaw.lan",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP root@kalaw",
  },
  otherClients,
});

// All of it is public: no key in it is secret.
export const server = kalaw.data;
