import { defaultSuite } from "../dev/lab/suite.ts";

/** What a host of the lab fetches by if nobody says: it goes by the host's Nix (nixos/module.nix). */
export const ownProtocol = defaultSuite() === "sid" ? "ssh-ng" : "ssh";
