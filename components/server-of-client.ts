import * as pulumi from "@pulumi/pulumi";
import { bareHostKey } from "../machine/host-key.ts";
import { CacheServer } from "./cache-server.ts";
import type { ServerData } from "./server-data.ts";

/** A server of this stack, or the data of one in another stack. */
export type ServerOfClient = CacheServer | pulumi.Input<ServerData>;

/** A server with all that its client has to know of it. */
type KnownServer = ServerData & { whose?: "other" | undefined };

export function isOther(server: ServerOfClient): server is pulumi.Input<ServerData> {
  return !(server instanceof CacheServer);
}

/** What of a server no key changes, so that a renewed one changes no settings, in a preview either. */
export function placeOf(server: ServerOfClient) {
  if (isOther(server)) return dataOf(server);
  const { name, address, port, hostKey } = server;
  return pulumi.output({ name, address, port, hostKey });
}

export function dataOf(server: ServerOfClient): pulumi.Output<KnownServer> {
  if (isOther(server)) {
    return pulumi.output(server).apply(
      (data): KnownServer => ({
        ...data,
        hostKey: bareHostKey(data.hostKey),
        authorizedKeys: data.authorizedKeys?.map(bareHostKey),
        whose: "other",
      }),
    );
  }
  const { name, address, port, hostKey, trustedPublicKey } = server;
  return pulumi.output({ name, address, port, hostKey, trustedPublicKey });
}
