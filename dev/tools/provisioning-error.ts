/** A tool that cannot be had; the message is for the user, without a stack trace. */
export class ProvisioningError extends Error {
  override name = "ProvisioningError";
}
