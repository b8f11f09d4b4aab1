import fc from "fast-check";
import { expect, test } from "vitest";
import { type ServerForClient, settingsJson } from "../../components/settings.ts";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { moduleVersion, nixosModule } from "../../machine/agent.ts";
import { useHome } from "./home.ts";

const home = useHome();

/** A name as the configuration takes it. */
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: Nix would read it so
const nasty = ['${builtins.abort "no"}', "''", '"', "\\", "\\${x}", "\n", "\u2028", "é😀"];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: Nix would read it so

/** Any text that a Nix string can hold: all but NUL. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }).map((string) => string.replaceAll("\0", "")),
  fc.constantFrom(...nasty),
);

test("any settings come through JSON and the real Nix unchanged", async () => {
  const cache = fc.record({
    address: text,
    port: fc.integer({ min: 1, max: 65535 }),
    hostKey: text,
    trustedPublicKeys: fc.array(text),
    priority: fc.option(fc.nat()),
  });
  const samples = fc.sample(fc.dictionary(label, cache), 200);
  const back = await home().on(
    "pai",
    `cat >/root/samples.json && nix-instantiate --eval --strict --json --expr \
       'map builtins.fromJSON (builtins.fromJSON (builtins.readFile /root/samples.json))'`,
    JSON.stringify(samples.map((servers) => settingsJson({ servers }))),
  );
  expect(JSON.parse(back)).toEqual(samples.map((servers) => ({ module: moduleVersion, servers })));
});

test("the module makes of any servers the options that NixOS documents", async () => {
  const cache: fc.Arbitrary<ServerForClient> = fc.record({
    address: label,
    port: fc.constantFrom(22, 2222),
    hostKey: fc.constant(
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP",
    ),
    trustedPublicKeys: fc.constant([generateSigningKeypair("kalaw").publicKey]),
    priority: fc.option(fc.nat(100)),
  });
  const samples = fc.sample(fc.dictionary(label, cache, { minKeys: 1, maxKeys: 4 }), 25);
  await home().on("pai", "mkdir /root/samples && cat >/root/samples/default.nix", nixosModule);
  for (const [i, servers] of samples.entries()) {
    await home().on(
      "pai",
      `cd /root/samples && mkdir ${i} && cp default.nix ${i}/ && cat >${i}/client.json`,
      settingsJson({ servers }),
    );
  }
  const expression = `
    map (i:
      let
        machine = import /etc/nixpkgs/nixos/eval-config.nix {
          system = builtins.currentSystem;
          modules = [ (/root/samples + "/\${toString i}") { networking.hostName = "pai"; } ];
        };
        inherit (machine.config) nix programs;
      in {
        inherit (nix.settings) substituters fallback trusted-public-keys;
        hosts = map (host: host.hostNames) (builtins.attrValues programs.ssh.knownHosts);
        inherit (programs.ssh) extraConfig;
      }) (builtins.genList (i: i) ${samples.length})`;
  const evaluated: Record<string, unknown>[] = JSON.parse(
    await home().on("pai", 'nix-instantiate --eval --strict --json --expr "$(cat)"', expression),
  );
  const expected = samples.map((servers) => {
    const names = Object.keys(servers).sort();
    const caches = names.flatMap((name) => servers[name] ?? []);
    return {
      substituters: caches.map(
        ({ address, priority }) =>
          `ssh://nix-ssh@${address}${priority === null ? "" : `?priority=${priority}`}`,
      ),
      fallback: true,
      "trusted-public-keys": expect.arrayContaining(
        caches.flatMap(({ trustedPublicKeys }) => trustedPublicKeys),
      ),
      hosts: caches.map(({ address, port }) => [port === 22 ? address : `[${address}]:${port}`]),
      extraConfig: expect.stringMatching(
        new RegExp(
          caches
            .map(
              ({ address, port }) =>
                `Match host ${address} user nix-ssh localuser root\n +Port ${port}\n.*Match all\n`,
            )
            .join(""),
          "s",
        ),
      ),
    };
  });
  expect(evaluated).toEqual(expected);
});

test("signing keys made by node-forge are Nix's own", async () => {
  for (let i = 0; i < 20; i++) {
    const { privateKey, publicKey } = generateSigningKeypair("kalaw");
    expect(await home().on("pai", "nix key convert-secret-to-public", privateKey)).toBe(publicKey);
  }
});
