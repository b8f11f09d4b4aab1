import * as pulumi from "@pulumi/pulumi";

/** Of a call of the engine, or of a value on its way there. */
const quotesSecrets = / RPC (prepared|finished)|^, obj=|^Serialize property .*primitive=/;

// Of each call of the engine the SDK (3.259) writes a debug message that quotes the answer, secrets in plain text: keypairs,
// and each step's stdin. Without --debug too the engine passes them on, to `up --json` and to whoever reads its events. So they
// end here; all other debug messages go their way.
const debug = pulumi.log.debug;
Reflect.set(pulumi.log, "debug", (...said: Parameters<typeof debug>) =>
  quotesSecrets.test(said[0]) ? Promise.resolve() : debug(...said),
);
