/**
 * A program of an owner who has components of their own: the setting `house:parent` says whether kalaw and its client pai
 * stand below one of these, a house, and whether the program says that they once did not.
 */
import * as pulumi from "@pulumi/pulumi";
import { CacheClient, CacheServer } from "../../components/index.ts";
import { namespace } from "../../config/config-error.ts";
import { parseStackConfig } from "../../config/stack-config.ts";

class House extends pulumi.ComponentResource {
  constructor(name: string) {
    super("house:index:House", name);
  }
}

const parent = new pulumi.Config("house").require("parent");
const privateKey = new pulumi.Config(namespace).requireSecret("privateKey");
const { servers, clients } = parseStackConfig(pulumi.runtime.allConfig());
const [kalaw, pai] = [servers.kalaw?.connection, clients.pai?.connection];
if (kalaw === undefined || pai === undefined) throw new Error("there are no machines");

const aliases = parent === "aliased" ? [{ parent: pulumi.rootStackResource }] : [];
const opts = parent === "none" ? {} : { parent: new House("house"), aliases };
const server = new CacheServer(
  "kalaw",
  { connection: { ...kalaw, privateKey }, address: "kalaw" },
  opts,
);
new CacheClient("pai", { connection: { ...pai, privateKey }, server }, opts);
