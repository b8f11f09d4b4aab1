import * as pulumi from "@pulumi/pulumi";
import { NixosCache } from "pulumi-nixos-cache";

// The operator's key, if there is no SSH agent: pulumi config set --secret privateKey < ~/.ssh/id_ed25519
const config = new pulumi.Config();

// `kalaw` is a file server that is always on, `pai` a desktop. Replace hosts and host keys by your own.
const cache = new NixosCache("home", {
  servers: {
    kalaw: {
      connection: {
        host: "kalaw.lan",
        hostKey:
          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP root@kalaw",
      },
      address: "kalaw",
    },
  },
  clients: {
    pai: {
      connection: {
        host: "pai.lan",
        hostKey:
          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG root@pai",
      },
      servers: ["kalaw"],
    },
  },
  privateKey: config.getSecret("privateKey"),
});

export const { servers, clients } = cache;
