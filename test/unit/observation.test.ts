import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Drift, driftInWords, driftOf, isAway, type Part } from "../../machine/drift.ts";
import { type Observation, otherHelper, parseObservation } from "../../machine/observation.ts";

const helper = "a".repeat(64);
const stack = "fay/nixos-cache/home";
const read = (text: string) => parseObservation(text, { helper, stack });
const parsed = (...lines: string[]) => read(`${lines.join("\n")}\n`);
const known = (...drift: [Part, string][]): Extract<Observation, { state: "known" }> => ({
  state: "known",
  drift: new Map(drift),
  notes: [],
  runs: new Map(),
});

describe("an answer of the helper", () => {
  test("of a machine that is as it should be", () => {
    expect(parsed(`helper\t${helper}`, "end")).toEqual(known());
  });

  test("of a machine with nothing of ours on it", () => {
    expect(parsed("new\tyes", "end")).toEqual({ state: "new", imports: true });
    expect(parsed("new\tno", "end")).toEqual({ state: "new", imports: false });
  });

  test("with the roles that its system has", () => {
    const runs = [`runs\tserver\t${"b".repeat(64)}`, `runs\tclient\t${"c".repeat(64)}`];
    expect(parsed(`helper\t${helper}`, ...runs, "end")).toEqual({
      ...known(),
      runs: new Map([
        ["server", "b".repeat(64)],
        ["client", "c".repeat(64)],
      ]),
    });
    for (const wrong of ["runs\tserver\tb", `runs\tx\t${"b".repeat(64)}`, "new", "new\tmaybe"])
      expect(parsed(wrong, "end").state).toBe("unknown");
  });

  test("with drift, by part; of one part all that is said", () => {
    expect(
      parsed(
        `helper\t${helper}`,
        "drift\tsettings server\tserver.json was changed by hand",
        "drift\tauthorizations\tauthorized_keys is missing",
        "drift\tsettings server\tthe machine went back",
        "end",
      ),
    ).toEqual(
      known(
        ["settings server", "server.json was changed by hand, the machine went back"],
        ["authorizations", "authorized_keys is missing"],
      ),
    );
  });

  test("with another helper, or none; what the machine says of it goes first", () => {
    const another = `helper\t${"b".repeat(64)}`;
    expect(parsed(another, "end")).toEqual(known(["helper", otherHelper]));
    expect(parsed("end")).toEqual(known(["helper", "the helper is missing"]));
    expect(parsed("drift\thelper\tthe helper was edited by hand", "end")).toEqual(
      known(["helper", "the helper was edited by hand"]),
    );
  });

  test("of a machine that has lost all: nothing is said of its helper", () => {
    expect(parsed("drift\teverything\t/var/lib/nixos-cache is gone", "end")).toEqual(
      known(["everything", "/var/lib/nixos-cache is gone"]),
    );
  });

  test("with whose it is: nothing, where it is this stack's; a note, where it is another's", () => {
    const owner = (stack: string) => `owner\tserver\t${stack}\tkalaw`;
    expect(parsed(owner(stack), `helper\t${helper}`, "end")).toEqual(known());
    expect(parsed(owner("fay/nixos-cache/office"), `helper\t${helper}`, "end")).toEqual({
      ...known(),
      notes: [
        "its part as a server belongs to the stack fay/nixos-cache/office now: this stack changes it only with takeOver: true",
      ],
    });
  });

  test("with whose it is: another component of this stack hands all of it on", () => {
    const text = `owner\tserver\t${stack}\tcache\nhelper\t${helper}\nend\n`;
    expect(parseObservation(text, { helper, stack, component: "cache" })).toEqual(known());
    const observation = parseObservation(text, { helper, stack, component: "kalaw" });
    expect(observation).toEqual(
      known(["everything", "its part as a server is still that of the component cache"]),
    );
    expect(driftInWords("kalaw", observation)).toEqual([
      {
        severity: "info",
        text: "kalaw: its part as a server is still that of the component cache. `pulumi up` hands it on.",
      },
    ]);
  });

  test("with notes, in plain words, each on its own", () => {
    expect(
      parsed(
        `helper\t${helper}`,
        "note\tnix-ssh also lets in 1 key not of this stack: \u001b]0;SHA256:a+b/c",
        "note\tthe folder was committed",
        "end",
      ),
    ).toEqual({
      ...known(),
      notes: [
        "nix-ssh also lets in 1 key not of this stack: 0SHA256:a+b/c",
        "the folder was committed",
      ],
    });
  });

  test("with more notes than a person reads: the first twenty, and how many there were", () => {
    const notes = Array.from({ length: 2900 }, (_, i) => `note\tnumber ${i}`);
    const observation = parsed(`helper\t${helper}`, ...notes, "end");
    const told = observation.state === "known" ? observation.notes : [];
    expect(told).toHaveLength(21);
    expect([told[0], told[19], told[20]]).toEqual(["number 0", "number 19", "and 2880 more notes"]);
  });

  test("keeps to plain words, and to 300 characters", () => {
    const observation = parsed(
      `helper\t${helper}`,
      `drift\tkeys server\t'\u001b[31m$(reboot)"; ${"x".repeat(400)}`,
      "end",
    );
    const words = observation.state === "known" ? observation.drift.get("keys server") : "";
    expect(words).toMatch(/^31m\(reboot\) x+$/);
    expect(words).toHaveLength(300);
  });

  test.each([
    ["nothing", ""],
    ["no end", `helper\t${helper}\n`],
    ["an end that is cut off", `helper\t${helper}\nend`],
    ["more after the end", `helper\t${helper}\nend\nbye\n`],
    ["a login shell's greeting", `Welcome\nhelper\t${helper}\nend\n`],
    ["an unknown part", "drift\tfirewall\tx\nend\n"],
    ["a part of the first edition", "drift\tsigning\tx\nend\n"],
    ["drift without words", "drift\tkeys server\nend\n"],
    ["drift with a tab in its words", "drift\tkeys server\tx\ty\nend\n"],
    ["a note without words", "note\nend\n"],
    ["a note with a tab in it", "note\tx\ty\nend\n"],
    ["an owner without a component", `owner\tserver\t${stack}\nend\n`],
    ["an owner with more than that", `owner\tserver\t${stack}\tkalaw\tx\nend\n`],
    ["a short hash", "helper\tabc\nend\n"],
    ["a helper with more", `helper\t${helper}\tx\nend\n`],
    ["two helpers", `helper\t${helper}\nhelper\t${helper}\nend\n`],
    ["a new machine with drift", "new\ndrift\tkeys server\tx\nend\n"],
  ])("that has %s is unknown", (_, text) => {
    expect(read(text)).toMatchObject({ state: "unknown" });
  });

  test("that breaks off anywhere is unknown", () => {
    const whole =
      `owner\tclient\t${stack}\tpai\nhelper\t${helper}\n` +
      "drift\tkeys client\tsecret/identity is missing\nnote\tx\nend\n";
    expect(read(whole).state).toBe("known");
    for (let length = 0; length < whole.length; length++) {
      expect(read(whole.slice(0, length)).state).toBe("unknown");
    }
  });

  test("of any kind is taken without an error, and no garbage is a machine without drift", () => {
    const owner = `owner\tserver\t${stack}\tkalaw`;
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("new\tyes", "end", `helper\t${helper}`, "drift\tkeys server\tx", ""),
      fc.constantFrom(owner, "owner\tserver\tother\tkalaw", "note\tx"),
      fc.string().map((words) => `drift\tkeys client\t${words}`),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const observation = parsed(...lines);
        if (observation.state !== "known" || observation.drift.size > 0) return;
        const helpers = lines.filter((line) => line.startsWith("helper"));
        expect([helpers, lines.at(-1)]).toEqual([[`helper\t${helper}`], "end"]);
        expect(lines.slice(0, -1).every((line) => /^(helper|owner|note)\t/.test(line))).toBe(true);
      }),
    );
  });
});

describe("what it asks for", () => {
  const at = new Date("2026-11-23T00:40:12.345Z");
  const of = (observation?: Observation): Drift => driftOf(observation, at);

  test("nothing, where nobody looked, nothing is known or all is well", () => {
    expect(of()).toEqual(new Map());
    expect(of({ state: "unknown", reason: "off" })).toEqual(new Map());
    expect(of(known())).toEqual(new Map());
  });

  test("what has drifted, with the time, so that the same drift twice is two changes", () => {
    expect(of(known(["keys server", "it is missing"]))).toEqual(
      new Map([["keys server", "it is missing (2026-11-23T00:40:12Z)"]]),
    );
  });

  test("nothing, for a note: no step repairs it", () => {
    expect(of({ ...known(), notes: ["the folder was committed"] })).toEqual(new Map());
  });

  test("everything of a machine with nothing on it", () => {
    expect(of({ state: "new", imports: true })).toEqual(
      new Map([["everything", "nothing of pulumi-nixos-cache was there (2026-11-23T00:40:12Z)"]]),
    );
  });
});

describe("what a person hears", () => {
  const said = (observation: Observation) => driftInWords("pai", observation);

  test("nothing of a machine that is as it should be, or new", () => {
    expect(said(known())).toEqual([]);
    expect(said({ state: "new", imports: true })).toEqual([]);
  });

  test("that the import line is missing, unless its owner deploys the settings", () => {
    expect(said({ state: "new", imports: false })).toEqual([
      {
        severity: "warn",
        text: "pai: no file of its configuration names our folder yet, and `pulumi up` stops there without it. Add imports = [ ./nixos-cache ]; first: `nixos-cache doctor` shows where.",
      },
    ]);
    const deployed = { deployedByOwner: true };
    expect(driftInWords("pai", { state: "new", imports: false }, deployed)).toEqual([]);
  });

  test("that it is unknown, and why; not that all is well", () => {
    expect(said({ state: "unknown", reason: "the name pai.lan is not known" })).toEqual([
      {
        severity: "warn",
        text: "pai: could not be looked at, so how it stands is unknown: the name pai.lan is not known",
      },
    ]);
  });

  test("of a machine that may be off: what it means that it is, and that alone", () => {
    const off: Observation = {
      state: "unknown",
      reason: "there is no way to pai.lan port 22",
      away: true,
    };
    const refused: Observation = { state: "unknown", reason: "it does not let root in" };
    expect(driftInWords("pai", off, { mayBeOff: true })).toEqual([
      {
        severity: "warn",
        text: "pai is off or elsewhere, as it may be: there is no way to pai.lan port 22. What has to be done there is left for the next `pulumi up`; it keeps the access that it has.",
      },
    ]);
    expect(isAway(off, true)).toBe(true);
    for (const [observation, mayBeOff] of [
      [off, false],
      [refused, true],
    ] as const) {
      expect(driftInWords("pai", observation, { mayBeOff })[0]?.text).toMatch(
        /could not be looked at/,
      );
      expect(isAway(observation, mayBeOff)).toBe(false);
    }
    for (const observation of [known(), { state: "new", imports: true } as const, undefined])
      expect(isAway(observation, true)).toBe(false);
  });

  test("what has drifted, each once", () => {
    expect(
      said(known(["settings client", "it went back"], ["keys client", "b"], ["keys server", "b"])),
    ).toEqual([
      { severity: "warn", text: "pai has drifted: it went back; b. `pulumi up` repairs it." },
    ]);
  });

  test("less loudly of another helper alone, which is so after every change of this program", () => {
    const text = `pai: ${otherHelper}. \`pulumi up\` replaces it.`;
    expect(said(known(["helper", otherHelper]))).toEqual([{ severity: "info", text }]);
  });

  test("every note, with drift and without; it is not said that `pulumi up` repairs them", () => {
    const notes = ["nix-ssh also lets in 1 key", "the folder was committed"];
    const told = notes.map((words) => ({ severity: "warn", text: `pai: ${words}` }));
    expect(said({ ...known(), notes })).toEqual(told);
    const drift = { severity: "warn", text: "pai has drifted: b. `pulumi up` repairs it." };
    expect(said({ ...known(["keys client", "b"]), notes })).toEqual([drift, ...told]);
    const helper = { severity: "info", text: expect.stringContaining("replaces it") };
    expect(said({ ...known(["helper", otherHelper]), notes })).toEqual([helper, ...told]);
  });
});
