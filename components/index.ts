export { type Drift, driftInWords, driftOf } from "../machine/drift.ts";
export { observeAll } from "../machine/observe.ts";
export { sshLogin } from "../machine/ssh-login.ts";
export { CacheClient, type CacheClientArgs } from "./cache-client.ts";
export { CacheServer, type CacheServerArgs } from "./cache-server.ts";
export type { ConnectionArgs } from "./connection.ts";
export { canHaveToAnswer } from "./has-to-answer.ts";
export type { MachineArgs } from "./machine-args.ts";
export { thisStack } from "./owner.ts";
