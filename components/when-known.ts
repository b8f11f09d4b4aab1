import type * as pulumi from "@pulumi/pulumi";

/** The value, or undefined while it is not known: in a preview, before what makes it has run. */
export async function whenKnown<T>(
  output: pulumi.Output<T>,
): Promise<pulumi.Unwrap<T> | undefined> {
  // Public in Pulumi's code, and left out of its types.
  const known: unknown = await Reflect.get(output, "isKnown");
  return known === true
    ? new Promise((resolve) => {
        output.apply((value) => resolve(value as pulumi.Unwrap<T>));
      })
    : undefined;
}
