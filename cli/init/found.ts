import { complaintAboutHostKey } from "../../machine/host-key.ts";
import { plainWords } from "../../machine/plain-words.ts";
import { type Answer, wholeNumber } from "../answer.ts";
import type { Module } from "./import-lines.ts";

/** What a machine is like before it is a cache, or fetches from one. */
export interface Found {
  /** Its own host name. */
  hostname: string;
  /** `type base64` */
  hostKey: string;
  /** Lines for a person. */
  words: string[];
  /** Where an import line can go; undefined where there is one already, or the owner deploys the machine from elsewhere. */
  module?: Module;
  /** The folder of its configuration. */
  folder: string;
  /** Who deploys it, if it is not /etc/nixos. */
  deployed?: string;
}

/**
 * Reads the answer to the question `look`.
 * @throws Error in words for a person, of a machine that cannot have a part in this
 */
export function found(answer: Answer, host: string): Found {
  const nixos = answer.words("nixos");
  if (nixos === "") throw new Error(`${host} does not run NixOS`);
  const hostKey = answer.text("host-key");
  if (hostKey === undefined || complaintAboutHostKey(hostKey) !== undefined) {
    throw new Error(
      `${host} has neither an ed25519 nor an ECDSA host key: add one to services.openssh.hostKeys`,
    );
  }
  const deployed = answer.words("deployed");
  const from = answer.text("from");
  if (from === undefined && deployed === "") {
    throw new Error(`${host} has neither flake.nix nor configuration.nix in /etc/nixos`);
  }
  const repository = answer.words("repository");
  if (repository !== "" && answer.all("git").length === 0) {
    throw new Error(
      `${host} has a git repository in ${repository}, and no git for root: add git to environment.systemPackages`,
    );
  }
  const [file, line] = answer.all("module")[0] ?? [];
  const imported = answer.words("imported");
  const module =
    imported === "" && deployed === "" && file !== undefined && plainWords(file) === file
      ? { file, line: wholeNumber(line) ?? 0 }
      : undefined;
  const before = [
    ...answer.all("belongs").map(([role, stack]) => `${role} of the stack ${stack}`),
    ...(answer.all("serves").length > 0 ? ["it serves by nix.sshServe"] : []),
    ...answer.all("fetches").map(([url]) => `it fetches from ${url}`),
  ].map((words) => plainWords(words));
  const kind = from === "flake" ? "a flake" : "configuration.nix";
  return {
    hostname: answer.words("hostname"),
    hostKey,
    folder: answer.words("folder") || "/etc/nixos",
    ...(deployed === "" ? {} : { deployed }),
    ...(module === undefined ? {} : { module }),
    words: [
      `NixOS ${nixos}, Nix ${answer.words("nix")}`,
      ...(from === undefined
        ? []
        : [
            `/etc/nixos: ${kind} of ${answer.words("owner")}, ${
              repository === "" ? "in no git repository" : `in the git repository ${repository}`
            }`,
          ]),
      deployed === ""
        ? imported === ""
          ? "import line: missing"
          : `import line: in ${imported}`
        : `deployed by ${deployed}`,
      ...(answer.all("elsewhere").length === 0
        ? []
        : [
            "built on another machine, it seems: if you deploy it from there, write rebuild: { by: owner }",
          ]),
      ...(before.length === 0 ? [] : [`set up before: ${before.join(", ")}`]),
    ],
  };
}

/** How an address of a server looks from a client: `seen` with the right key. */
export function seenAt(
  answer: Answer,
  address: string,
  hostKey: string,
): "seen" | "unknown" | "silent" | "another" {
  if (answer.all("unknown").some(([its]) => its === address)) return "unknown";
  const keys = answer.all("sees").flatMap(([its, key]) => (its === address ? [key] : []));
  if (keys.includes(hostKey)) return "seen";
  return keys.some((key) => key !== "") ? "another" : "silent";
}
