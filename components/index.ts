export { CacheClient, type CacheClientArgs } from "./cache-client.ts";
export { CacheServer, type CacheServerArgs } from "./cache-server.ts";
export type { ConnectionArgs } from "./connection.ts";
