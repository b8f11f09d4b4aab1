import * as pulumi from "@pulumi/pulumi";

/**
 * Has Pulumi's SDK declare resources without an engine: each has its inputs for state, and a Stash puts out what goes in.
 * @param register is told of each resource
 */
export function mockEngine(
  register: (resource: pulumi.runtime.MockResourceArgs) => void,
): Promise<void> {
  return pulumi.runtime.setMocks(
    {
      newResource(resource) {
        const { type, name, inputs } = resource;
        register(resource);
        const output = type === "pulumi:index:Stash" ? { output: inputs.input } : {};
        return { id: `${name}-id`, state: { ...inputs, ...output } };
      },
      call: ({ inputs }) => inputs,
    },
    "nixos-cache",
    "test",
    false,
    "organization",
  );
}
