import { expect, test } from "vitest";
import { standInHost } from "./stand-in-host.ts";

const host = standInHost();

/** Evaluates `expression` with nixpkgs' `lib` in scope, by the host's real Nix. */
async function evaluate(expression: string) {
  const text = `let lib = import /etc/nixpkgs/lib; in with lib; ${expression}`;
  return host.sh(`nix-instantiate --eval --strict --json - <<'EOF'\n${text}\nEOF`);
}

const options = `{
  options = {
    on = mkOption { type = types.bool; default = false; };
    word = mkOption { type = types.str; };
    text = mkOption { type = types.lines; default = ""; };
    list = mkOption { type = types.listOf types.str; default = [ ]; };
    maybe = mkOption { type = types.nullOr types.int; default = null; };
    hosts = mkOption {
      default = { };
      type = types.attrsOf (types.submodule ({ name, config, ... }: {
        options.names = mkOption { type = types.listOf types.str; default = [ name ] ++ config.more; };
        options.more = mkOption { type = types.listOf types.str; default = [ ]; };
      }));
    };
    free = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (types.either types.int (types.listOf types.str));
        options.known = mkOption { type = types.int; default = 1; };
      };
    };
  };
}`;

const config = (modules: string, attribute: string) =>
  evaluate(`(evalModules { modules = [ ${options} ${modules} ]; }).config.${attribute}`);

// Expected as nixpkgs' manual says: later modules' definitions stand before those of earlier ones.
test.each([
  ["a default", "", "on", false],
  ["a definition over the default", "{ on = true; }", "on", true],
  ["mkDefault yields", '{ word = mkDefault "a"; } { word = "b"; }', "word", "b"],
  ["mkForce wins", '{ word = mkForce "a"; } { word = "b"; }', "word", "a"],
  [
    "mkForce over a whole set",
    "{ hosts = mkForce { a = { }; }; } { hosts.b = { }; }",
    "hosts",
    { a: { names: ["a"], more: [] } },
  ],
  ["equal definitions agree", '{ word = "a"; } { word = "a"; }', "word", "a"],
  [
    "mkIf on an option",
    '{ on = true; } ({ config, ... }: { word = mkIf config.on "yes"; })',
    "word",
    "yes",
  ],
  [
    "mkIf on a module",
    '({ config, ... }: { config = mkIf (!config.on) { list = [ "off" ]; }; })',
    "list",
    ["off"],
  ],
  ["a false mkIf", '{ list = mkIf false [ "x" ]; }', "list", []],
  [
    "mkIf within a list",
    '{ list = [ "a" (mkIf false "b") (mkIf true "c") ]; }',
    "list",
    ["a", "c"],
  ],
  ["mkMerge", '{ config = mkMerge [ { on = true; } (mkIf true { word = "w"; }) ]; }', "word", "w"],
  [
    "the order of lists",
    '{ list = mkAfter [ "z" ]; } { list = [ "m" ]; } { list = mkBefore [ "a" ]; }',
    "list",
    ["a", "m", "z"],
  ],
  [
    "mkOrder",
    '{ list = mkOrder 1400 [ "n" ]; } { list = mkAfter [ "z" ]; } { list = [ "m" ]; }',
    "list",
    ["m", "n", "z"],
  ],
  ["lines", '{ text = mkAfter "z"; } { text = "m"; }', "text", "m\nz"],
  [
    "submodules",
    '{ hosts.a = { }; } { hosts.a.more = [ "b" ]; }',
    "hosts",
    { a: { names: ["a", "b"], more: ["b"] } },
  ],
  ["a false mkIf of an attribute", "{ hosts.a = mkIf false { }; }", "hosts", {}],
  [
    "free-form settings",
    '{ free.x = [ "a" ]; } { free = { x = [ "b" ]; known = 2; }; }',
    "free",
    { x: ["a", "b"], known: 2 },
  ],
  ["null", "{ maybe = 3; }", "maybe", 3],
  [
    "imports",
    '{ imports = [ { list = [ "i" ]; } ({ lib, ... }: { on = lib.mkDefault true; }) ]; }',
    "on",
    true,
  ],
  [
    "one file imported twice counts once",
    "{ imports = [ /tmp/m.nix /tmp/m.nix ]; } /tmp/m.nix",
    "list",
    ["m"],
  ],
])("%s", async (_, modules, attribute, expected) => {
  await host.ok("echo '{ list = [ \"m\" ]; }' > /tmp/m.nix");
  const { stdout, stderr } = await config(modules, attribute);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual(expected);
});

test.each([
  [
    "an unknown option",
    '{ _file = "a.nix"; wrod = "x"; }',
    "on",
    "The option `wrod' does not exist. Definition values:\n- In `a.nix': \"x\"",
  ],
  [
    "even if a condition is false",
    "{ wrod = mkIf false 1; }",
    "on",
    "The option `wrod' does not exist.",
  ],
  [
    "an unknown option of a submodule",
    "{ hosts.a.x = 1; }",
    "hosts",
    "The option `hosts.a.x' does not exist.",
  ],
  [
    "a conflict",
    '{ word = "a"; } { word = "b"; }',
    "word",
    "The option `word' has conflicting definition values:",
  ],
  [
    "a wrong type",
    '{ on = "yes"; }',
    "on",
    "A definition for option `on' is not of type `boolean'. Definition values:\n- In `<unknown-file>': \"yes\"",
  ],
  ["a wrong type in a list", "{ list = [ 1 ]; }", "list", "is not of type `string'"],
  [
    "no value",
    "",
    "word",
    "The option `word' was accessed but has no value defined. Try setting the option.",
  ],
  [
    "null and not null",
    "{ maybe = 1; } { maybe = null; }",
    "maybe",
    "The option `maybe' is defined both null and not null",
  ],
  [
    "options beside config",
    "{ config = { }; on = true; }",
    "on",
    "has an unsupported attribute `on'",
  ],
])("refuses %s", async (_, modules, attribute, message) => {
  const { code, stderr } = await config(modules, attribute);
  expect(code).not.toBe(0);
  expect(stderr.replace(/^ {7}/gm, "")).toContain(message);
});

// Expected: the examples of nixpkgs' own documentation.
test.each([
  ['concatMapStringsSep "-" toUpper [ "foo" "bar" ]', "FOO-BAR"],
  ['concatLines [ "foo" "bar" ]', "foo\nbar\n"],
  ['escapeShellArg "esc\'ape\\nme"', "'esc'\\''ape\nme'"],
  ['escapeShellArg "plain-1.2/x"', "plain-1.2/x"],
  ["escapeNixString ''a\"$b''", '"a\\"\\$b"'],
  ['splitString "." "foo.bar..baz"', ["foo", "bar", "", "baz"]],
  ['removeSuffix "front" "homefront"', "home"],
  ['removePrefix "foo." "bar.foo.bar.baz"', "bar.foo.bar.baz"],
  ['hasSuffix "foo" "barfoo"', true],
  ["flatten [ 1 [ 2 [ 3 ] 4 ] 5 ]", [1, 2, 3, 4, 5]],
  ["unique [ 3 2 3 4 ]", [3, 2, 4]],
  ['mapAttrs\' (n: v: nameValuePair ("foo_" + n) ("bar-" + v)) { x = "a"; }', { foo_x: "bar-a" }],
  ['filterAttrs (n: v: n == "foo") { foo = 1; bar = 2; }', { foo: 1 }],
  ['genAttrs [ "foo" ] (name: "x_" + name)', { foo: "x_foo" }],
  ["recursiveUpdate { a.b = 1; a.c = 2; } { a.b = 3; }", { a: { b: 3, c: 2 } }],
  ["pipe 2 [ (n: n + 2) (n: n * 2) ]", 8],
  ['foldr (a: b: a + b) "" [ "a" "b" "c" ]', "abc"],
  ['take 2 [ "a" "b" "c" ]', ["a", "b"]],
  ['drop 2 [ "a" "b" "c" ]', ["c"]],
  ['imap1 (i: v: v + toString i) [ "a" "b" ]', ["a1", "b2"]],
  ['setAttrByPath [ "a" "b" ] 3', { a: { b: 3 } }],
  ['trim "  hello  "', "hello"],
  ["sort (a: b: a < b) [ 5 3 7 ]", [3, 5, 7]],
])("lib: %s", async (expression, expected) => {
  const { stdout, stderr } = await evaluate(expression);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual(expected);
});
