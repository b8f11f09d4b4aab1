import { hostName, port } from "../../machine/argument-schemas.ts";

/** A machine as a person names it to `init`. */
export interface MachineSpec {
  /** Its name in the settings. @default the machine's own host name */
  name?: string;
  user?: string;
  /** Host name, address, or a name from the person's ssh configuration. */
  host: string;
  port?: number;
}

/**
 * Reads `[NAME=][USER@]HOST[:PORT]`.
 * @throws Error in words for a person
 */
export function machineSpec(text: string): MachineSpec {
  const found = /^(?:([a-z0-9-]+)=)?(?:([A-Za-z_][A-Za-z0-9_.-]*)@)?([^@:=]+)(?::([0-9]+))?$/.exec(
    text.trim(),
  );
  const [, name, user, host = "", digits] = found ?? [];
  const isPort = digits === undefined || port.safeParse(Number(digits)).success;
  // A name of ssh's configuration may have `_` in it.
  const isHost = hostName.safeParse(host).success || /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(host);
  if (found === null || !isPort || !isHost) {
    throw new Error(
      `${text} is no machine: write it like root@kalaw.lan, or kalaw=root@192.0.2.11:22`,
    );
  }
  return {
    ...(name === undefined ? {} : { name }),
    ...(user === undefined ? {} : { user }),
    host,
    ...(digits === undefined ? {} : { port: Number(digits) }),
  };
}
