import { dial } from "./dial.ts";
import { type CopyInputs, copyInputs } from "./inputs.ts";
import { type Properties, plain } from "./properties.ts";
import type { Call, ResourceType } from "./resource-type.ts";
import { Sftp } from "./sftp.ts";
import { upload } from "./upload.ts";

/** remote.CopyToRemote: copies its source at creation and when that has changed, and never removes anything. */
export const copyToRemote: ResourceType = {
  inputs: copyInputs,
  idStart: () => "",
  unknownOutputs: {},
  async create(inputs, call) {
    await copy(inputs, call);
    return {};
  },
  async update(inputs, state, call) {
    const [now, before] = [inputs, state].map((values) => plain(values) as CopyInputs);
    const isSame =
      now?.source.hash === before?.source.hash && now?.remotePath === before?.remotePath;
    if (!isSame) await copy(inputs, call);
    return {};
  },
  delete: async () => undefined,
};

async function copy(inputs: Properties, { log, signal }: Call): Promise<void> {
  const { connection, source, remotePath } = plain(inputs) as unknown as CopyInputs;
  const client = await dial(connection, log, signal);
  try {
    await upload(source, remotePath, await Sftp.open(client));
  } finally {
    client.end();
  }
}
