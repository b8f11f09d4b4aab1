import * as pulumi from "@pulumi/pulumi";
import { CacheClient } from "pulumi-nixos-cache";

// Who runs this stack can log in on `pai`, and not on the server. The steps of the first time: ../server/index.ts.
const server = new pulumi.StackReference(new pulumi.Config().require("server"));

const client = new CacheClient("pai", {
  connection: {
    host: "pai.lan",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG root@pai",
  },
  server: server.requireOutput("server"),
});

// All of it is public: no key in it is secret.
export const pai = client.data;
