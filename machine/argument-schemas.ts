/** What each argument of a machine may be: the same in the stack file and in a program that uses the components. */
import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";
import { complaintAboutHostKey, whereHostKeys } from "./host-key.ts";

const noHostName =
  "is no host name or IP address: write it without user, port, scheme, brackets or dot at the end, like kalaw.lan";

const label = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
const name = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);

/** A host name, or an IP address. Every name is taken for an IPv4 address whose last label is a number. */
export const hostName = z
  .string({ error: expected("is no text", "write a host name or an IP address") })
  .superRefine((text, context) => {
    const complaint = complaintAboutHost(text);
    if (complaint !== undefined) context.addIssue({ code: "custom", message: complaint });
  });

function complaintAboutHost(text: string): string | undefined {
  const [address = "", zone] = text.split("%");
  if (isIPv6(address)) {
    // Its zone is the name of a network card, another on each machine.
    if (zone !== undefined || /^fe[89ab]/i.test(address)) {
      return "is a link-local address, which means something else on each machine: write a host name, or another address";
    }
    // As a program writes it that reads it: ssh and Nix compare texts.
    const plain = plainIPv6(address);
    return address === plain ? undefined : `is not written as programs do: write ${plain}`;
  }
  const isName = name.test(text) && (!/(^|\.)[0-9]+$/.test(text) || isIPv4(text));
  return isName ? undefined : noHostName;
}

/** The one way to write an IPv6 address (RFC 5952). */
function plainIPv6(address: string): string {
  return new URL(`ssh://[${address}]`).hostname.slice(1, -1);
}

export const port = z
  .int({ error: expected("is no port", "write a whole number from 1 to 65535, like 22") })
  .min(1, "is no port: write a whole number from 1 to 65535, like 22")
  .max(65535, "is no port: write a whole number from 1 to 65535, like 22");

export const hostKey = z
  .string({ error: expected("is no text", whereHostKeys) })
  .superRefine((text, context) => {
    const complaint = complaintAboutHostKey(text);
    if (complaint !== undefined) {
      context.addIssue({ code: "custom", message: `${complaint}: ${whereHostKeys}` });
    }
  });

// `pulumi config set --path` writes a number where it sees one.
const numberAsText = (value: unknown) => (typeof value === "number" ? String(value) : value);

export const rotation = z.preprocess(
  numberAsText,
  z
    .string({ error: "is no text: write any word or number, like 2" })
    .min(1, "is empty: write any word or number, like 2"),
);

const user = (who: string) =>
  z
    .string({ error: "is no text: write a user's name, like root" })
    .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/, `is no user's name: write ${who}`);

export const jump = z.strictObject(
  {
    host: hostName,
    port: port.optional(),
    user: user("whom your key lets in there").optional(),
    hostKey,
  },
  { error: "is no group of settings: write { host: …, hostKey: … } of the jump host" },
);

export const connection = z.strictObject(
  {
    host: hostName,
    port: port.optional(),
    user: user("root, or a user who may use sudo without a password").optional(),
    hostKey,
    jump: jump.optional(),
  },
  { error: expected("is no group of settings", "write { host: …, hostKey: … }") },
);

const attributeAdvice = "write the name of a nixosConfigurations entry, like pai";

export const rebuild = z
  .strictObject(
    {
      by: z
        .enum(["pulumi", "owner"], {
          error:
            "is neither pulumi nor owner: write owner if you deploy this machine's settings yourself",
        })
        .optional(),
      from: z
        .enum(["flake", "channel"], {
          error: "is neither flake nor channel: write what /etc/nixos is built from",
        })
        .optional(),
      attribute: z
        .string({ error: `is no text: ${attributeAdvice}` })
        .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, `is no attribute of a flake: ${attributeAdvice}`)
        .optional(),
    },
    { error: "is no group of settings: write { from: flake, attribute: … }" },
  )
  .superRefine(({ by, from, attribute }, context) => {
    for (const [setting, value] of Object.entries({ from, attribute })) {
      if (by === "owner" && value !== undefined) {
        const message = "is for rebuilds by pulumi: take it out, or write by: pulumi";
        context.addIssue({ code: "custom", path: [setting], message });
      }
    }
    if (by !== "owner" && from === "channel" && attribute !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["attribute"],
        message: "is for a flake: take it out, or write from: flake",
      });
    }
  });

const confirmWithin = "is no number of seconds: write a whole number from 10 to 3600, like 60";

/** The boolean itself: the text "false" would count as true. */
const yes = (whatFor: string) =>
  z.boolean({ error: `is neither true nor false: write true ${whatFor}` });

/** The options of a machine in either role (machine/options.ts). */
export const machineOptions = {
  rebuild: rebuild.optional(),
  confirmWithin: z
    .int({ error: confirmWithin })
    .min(10, confirmWithin)
    .max(3600, confirmWithin)
    .optional(),
  onlyOurs: yes("to refuse rebuilds that would change more than the cache").optional(),
  takeOver: yes("to take the machine over from another stack").optional(),
};

const noPriority =
  "is no priority: write a whole number from 0 to 2147483647; cache.nixos.org has 40";

export const priority = z
  .int({ error: noPriority })
  .min(0, noPriority)
  // Nix reads it as a number of 32 bits, and leaves out a cache with more.
  .max(2_147_483_647, noPriority);

const whereClientKeys = "write the line that the client's stack puts out, ssh-ed25519 AAAA…";

/** The SSH public key of a client in another stack: one line. */
export const clientKey = z
  .string({ error: expected("is no text", whereClientKeys) })
  .refine((text) => complaintAboutHostKey(text) === undefined, {
    error: `is no ed25519 or ECDSA public key in one line: ${whereClientKeys}`,
  });

/** The name of a signing key (nix.conf(5), `trusted-public-keys`), which goes into a line of root's files as one word. */
const signingKeyName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

const noClient = `is no client of another stack: ${whereClientKeys}, a list of such lines, or what its CacheClient puts out`;

/** A client of another stack: a line, a list of lines, or what its component puts out (components/client-data.ts). */
export const otherClient = z.union(
  [
    clientKey,
    z.array(clientKey).min(1),
    z.object({
      publicKeys: z.array(clientKey),
      trusts: z.record(z.string(), z.string().regex(signingKeyName)).optional(),
    }),
  ],
  { error: noClient },
);

/** The name of a client in another stack: a part of a resource's name, and of its owner's on a machine. */
export const otherClientName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
    "is no client's name: write 1 to 63 of A-Z, a-z, 0-9, _, . and -",
  );

/** Clients of other stacks by name, whatever is said of each. */
export const otherClients = z.record(otherClientName, z.unknown(), {
  error: "is no group of clients: write { laptop: 'ssh-ed25519 AAAA…' }",
});

const noTrustedKey =
  "is no signing key's public half: write it as the server's stack puts it out, NAME:BASE64";

export const trustedPublicKey = z
  .string({
    error: expected("is no text", "write it as the server's stack puts it out, NAME:BASE64"),
  })
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}:[A-Za-z0-9+/]{43}=$/, noTrustedKey);

/** A server of another stack (components/server-data.ts). What its stack puts out besides, another version's perhaps, is left alone. */
export const serverData = z.object(
  {
    name: z
      .string({ error: expected("is no text", "write the server's name") })
      .regex(
        /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
        "is no server's name: write 1 to 63 of A-Z, a-z, 0-9, _, . and -",
      ),
    address: hostName,
    port,
    hostKey,
    trustedPublicKey,
    keyCreated: z.string().optional(),
    authorizedKeys: z.array(z.string(), { error: "is no list of public keys" }).optional(),
  },
  { error: "is no CacheServer, nor what one puts out: pass the server that it fetches from" },
);

export const protocol = z.enum(["ssh", "ssh-ng"], {
  error: "is no protocol of Nix: write ssh or ssh-ng, or leave it out",
});

export const onlyOurKeys = yes("to end the access of keys that are not of this stack");

const wholeFlake =
  "write its URL or its path on the server, without # and spaces, like github:me/machines or /srv/machines";
const noSystems = "write the names of its nixosConfigurations that clients run, like [pai]";
const noSize = "is no size: write a number of bytes, or one with K, M, G or T, like 50G";
const noCount = "is no number of builds: write a whole number from 1 to 1000, like 3";

/** Systems that a server builds ahead of time (nixos/warm.nix). */
export const warm = z.strictObject(
  {
    flake: z
      .string({ error: expected("is no text", wholeFlake) })
      .regex(
        /^(\/|[a-z][a-z0-9+.-]*:)[A-Za-z0-9/._~:?&=@%+,-]*$/,
        `is no flake for a server: ${wholeFlake}`,
      ),
    systems: z
      .array(
        z
          .string({ error: `is no text: ${noSystems}` })
          .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, `is no name of a system: ${noSystems}`),
        { error: expected("is no list", noSystems) },
      )
      .min(1, `is empty: ${noSystems}`),
    startAt: z
      .string({ error: "is no text: write when, like daily or 04:00 (systemd.time(7))" })
      .regex(
        /^[A-Za-z0-9*:/.,~ -]+$/,
        "is no time: write when, like daily or 04:00 (systemd.time(7))",
      )
      .default("daily"),
    user: z
      .string({ error: "is no text: write the name of a user of the server" })
      .regex(
        /^(?!root$)[A-Za-z_][A-Za-z0-9_.-]{0,30}$/,
        "is no user's name, or root: write who may read the flake on the server, with no other rights",
      )
      .optional(),
    keep: z.int({ error: noCount }).min(1, noCount).max(1000, noCount).default(3),
    maxSize: z
      .preprocess(
        numberAsText,
        z.string({ error: noSize }).regex(/^[1-9][0-9]{0,11}[KMGT]?$/, noSize),
      )
      .optional(),
  },
  { error: "is no group of settings: write { flake: github:me/machines, systems: [pai] }" },
);

export const gone = yes("if the machine is lost");

export const mayBeOff = yes("if the machine is not always on, like a laptop");

const noSocket = "is no path of a socket: write the whole path, like /run/user/1000/ssh-agent";

export const agentSocket = z.string({ error: noSocket }).regex(/^\/[^\p{Cc}]+$/u, noSocket);

/** The message for a value that is not there, or of another type. */
export function expected(wrong: string, advice: string): (issue: { input?: unknown }) => string {
  return ({ input }) => `${input === undefined ? "is missing" : wrong}: ${advice}`;
}
