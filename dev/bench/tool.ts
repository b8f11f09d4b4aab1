/** Which keys a rotation renews. */
export type Renewal = "SSH" | "signing" | "all";

/** A way to set the cache up on the hosts of a lab. */
export interface Tool {
  readonly name: string;
  /** What its user does once, before the first deployment. */
  init(): Promise<void>;
  /** Asks for new keys; the next `deploy` brings them. */
  renew(which: Renewal): Promise<void>;
  /** Makes the hosts as they should be. This is measured. */
  deploy(): Promise<void>;
  /** Takes all away again. This is measured. */
  destroy(): Promise<void>;
  /** What days of rest do to it by themselves; called after each `deploy` and `destroy`. */
  rest?(): Promise<void>;
}
