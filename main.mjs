// Pulumi starts here, on whatever Node is on PATH: plain JavaScript, so that one that is too old gets a message that says so.
import { RunError } from "@pulumi/pulumi";

if (!process.features.typescript) {
  throw new RunError(
    `This program needs Node 22.18 or newer, and the node on PATH is ${process.version}: install a newer one.`,
  );
}

/** The stack's outputs. */
export const { servers, clients, settings } = await import("./index.ts");
