import { parseStackConfig } from "../../../config/stack-config.ts";

/** The names of all settings, as the page of the settings writes them: `*` for any machine, `NAME` for a name. */
export function documentedAs(): Set<string> {
  const server = settingsIn("servers.kalaw");
  const client = settingsIn("clients.pai");
  // What every machine may have stands there once. Its connection is an entry of each group, and its own settings follow.
  const ofEach = server.filter(
    (name) => client.includes(name) && !["connection", "rotation"].includes(name),
  );
  const own = (name: string) => !ofEach.includes(name) && name !== "warm";
  const groups: [prefix: string, names: string[]][] = [
    ["", settingsIn("")],
    ["servers.NAME.", server.filter(own)],
    ["servers.NAME.warm.", settingsIn("servers.kalaw.warm")],
    ["clients.NAME.", client.filter(own)],
    ["otherServers.NAME.", settingsIn("otherServers.kalaw")],
    ["*.", ofEach.filter((name) => name !== "rebuild")],
    ["*.rebuild.", settingsIn("servers.kalaw.rebuild")],
    ["*.connection.", settingsIn("servers.kalaw.connection").filter((name) => name !== "jump")],
    ["*.connection.jump.", settingsIn("servers.kalaw.connection.jump")],
  ];
  return new Set(groups.flatMap(([prefix, names]) => names.map((name) => prefix + name)));
}

/** What may stand in a group, as the message about a setting says that is none. */
function settingsIn(group: string): string[] {
  const path = [...group.split("."), "none"].filter(Boolean);
  const [top = "", ...inner] = path;
  const value = inner.reduceRight<unknown>((value, name) => ({ [name]: value }), "");
  const text = inner.length === 0 ? "" : JSON.stringify(value);
  try {
    parseStackConfig({ [`nixos-cache:${top}`]: text });
  } catch (error) {
    const none = `nixos-cache:${path.join(".")} is no setting: write one of `;
    const line = (error as Error).message.split("\n").find((line) => line.startsWith(none));
    if (line !== undefined) return line.slice(none.length).split(", ");
  }
  throw new Error(`nobody says what may stand in ${group}`);
}
