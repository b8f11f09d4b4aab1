// The cache as somebody sets it up in an hour who knows NixOS and Pulumi: one command a machine, which writes the files
// and rebuilds. The keys are made with ssh-keygen and `nix-store --generate-binary-cache-key` beforehand.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

interface Machine {
  name: string;
  /** Its address, as the operator sees it. */
  host: string;
  hostKey: string;
}

const config = new pulumi.Config();
const server = config.requireObject<Machine>("server");
const clients = config.requireObject<Machine[]>("clients");
const keys = config.require("keys");
const operatorKey = pulumi.secret(readFileSync(config.require("operatorKey"), "utf8"));

const cache = machine(server, {
  module: `{
  nix.sshServe = {
    enable = true;
    keys = [
${clients.map(({ name }) => `      "${publicKey(name)}"`).join("\n")}
    ];
  };
  nix.settings.secret-key-files = [ "/etc/nix/cache-key" ];
}`,
  key: privateKey("signing-key"),
  // What is in the store already.
  afterwards: "nix store sign --all --key-file /etc/nix/cache-key",
});

for (const client of clients) {
  machine(client, {
    module: `{
  nix.settings = {
    substituters = [ "ssh://nix-ssh@${server.name}" ];
    trusted-public-keys = [ "${publicKey("signing-key")}" ];
  };
  programs.ssh = {
    knownHosts."${server.name}".publicKey = "${server.hostKey}";
    extraConfig = ''
      Match host ${server.name} user nix-ssh
        IdentityFile /etc/nix/cache-key
        IdentitiesOnly yes
    '';
  };
}`,
    key: privateKey(client.name),
    // The server first: a rebuild of a client asks it for paths, and fails if it refuses the client's new key.
    dependsOn: [cache],
  });
}

interface Setup {
  /** Text of the NixOS module. */
  module: string;
  /** The machine's private key. */
  key: pulumi.Input<string>;
  /** A shell command for after the rebuild. */
  afterwards?: string;
  dependsOn?: pulumi.Resource[];
}

function machine(
  { name, host, hostKey }: Machine,
  { module, key, afterwards = ":", dependsOn = [] }: Setup,
): remote.Command {
  return new remote.Command(
    name,
    {
      connection: { host, user: "root", hostKey, privateKey: operatorKey },
      // It rebuilds whatever has changed: if it compared files first, a rebuild that failed would not be tried again.
      create: `set -eu
mkdir -p /etc/nixos/nixos-cache
(umask 077 && cat > /etc/nix/cache-key)
cat > /etc/nixos/nixos-cache/default.nix << 'EOF'
${module}
EOF
git -C /etc/nixos add --intent-to-add --force nixos-cache
nixos-rebuild switch
${afterwards}`,
      delete: `set -eu
git -C /etc/nixos reset --quiet -- nixos-cache
rm -rf /etc/nixos/nixos-cache /etc/nix/cache-key
nixos-rebuild switch`,
      stdin: key,
      logging: "none",
      addPreviousOutputInEnv: false,
    },
    { dependsOn },
  );
}

function privateKey(name: string): pulumi.Output<string> {
  return pulumi.secret(readFileSync(join(keys, name), "utf8"));
}

function publicKey(name: string): string {
  return readFileSync(join(keys, `${name}.pub`), "utf8").trim();
}
