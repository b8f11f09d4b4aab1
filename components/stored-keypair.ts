import "./no-debug-messages.ts";
import * as pulumi from "@pulumi/pulumi";

/**
 * A keypair that is made once and then kept, secret, in the stack's state.
 *
 * The program makes another one at every run; `ignoreChanges` keeps the first, until `rotation` changes. A
 * preview must not show the public half of a key that will not be the one made, so there it is unknown.
 */
export function storedKeypair<T extends object>(
  name: string,
  generate: () => T,
  rotation: pulumi.Input<string>,
  parent: pulumi.Resource,
): pulumi.Output<T> {
  const stash = new pulumi.Stash(
    name,
    { input: pulumi.runtime.isDryRun() ? pulumi.unknown : pulumi.secret(generate()) },
    { parent, ignoreChanges: ["input"], replacementTrigger: rotation },
  );
  return pulumi.secret(stash.output).apply((keypair) => keypair as T);
}
