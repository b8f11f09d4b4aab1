import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Drift, driftInWords, driftOf, type Part } from "../../machine/drift.ts";
import { type Observation, otherHelper, parseObservation } from "../../machine/observation.ts";

const helper = "a".repeat(64);
const parsed = (...lines: string[]) => parseObservation(`${lines.join("\n")}\n`, helper);
const known = (...drift: [Part, string][]): Observation => ({
  state: "known",
  drift: new Map(drift),
});

describe("an answer of the helper", () => {
  test("of a machine that is as it should be", () => {
    expect(parsed(`helper\t${helper}`, "end")).toEqual(known());
  });

  test("of a machine with nothing of ours on it", () => {
    expect(parsed("new", "end")).toEqual({ state: "new" });
  });

  test("with drift, by part; of one part all that is said", () => {
    expect(
      parsed(
        `helper\t${helper}`,
        "drift\tsettings server\tserver.json was changed by hand",
        "drift\tauthorization pai-2\tits key is missing",
        "drift\tsettings server\tthe machine went back",
        "end",
      ),
    ).toEqual(
      known(
        ["settings server", "server.json was changed by hand, the machine went back"],
        ["authorization pai-2", "its key is missing"],
      ),
    );
  });

  test("with another helper, or none; what the machine says of it goes first", () => {
    expect(parsed(`helper\t${"b".repeat(64)}`, "end")).toEqual(known(["agent", otherHelper]));
    expect(parsed("end")).toEqual(known(["agent", "its helper is missing"]));
    expect(parsed(`helper\t${"b".repeat(64)}`, "drift\tagent\tits mode is 777", "end")).toEqual(
      known(["agent", "its mode is 777"]),
    );
  });

  test("keeps to plain words, and to 300 characters", () => {
    const observation = parsed(
      `helper\t${helper}`,
      `drift\tsigning\t'\u001b[31m$(reboot)"; ${"x".repeat(400)}`,
      "end",
    );
    const words = observation.state === "known" ? observation.drift.get("signing") : "";
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
    ["drift of everything", "drift\teverything\tx\nend\n"],
    ["drift without words", "drift\tsigning\nend\n"],
    ["a short hash", "helper\tabc\nend\n"],
    ["two helpers", `helper\t${helper}\nhelper\t${helper}\nend\n`],
    ["a new machine with drift", "new\ndrift\tsigning\tx\nend\n"],
  ])("that has %s is unknown", (_, text) => {
    expect(parseObservation(text, helper)).toMatchObject({ state: "unknown" });
  });

  test("that breaks off anywhere is unknown", () => {
    const whole = `helper\t${helper}\ndrift\tidentity\tits file is missing\nend\n`;
    for (let length = 0; length < whole.length; length++) {
      expect(parseObservation(whole.slice(0, length), helper).state).toBe("unknown");
    }
  });

  test("of any kind is taken without an error, and no garbage is a machine without drift", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("new", "end", `helper\t${helper}`, "drift\tsigning\tx", ""),
      fc.string().map((words) => `drift\tidentity\t${words}`),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const observation = parsed(...lines);
        if (observation.state !== "known" || observation.drift.size > 0) return;
        expect(lines).toEqual([`helper\t${helper}`, "end"]);
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
    expect(of(known(["signing", "its key is missing"]))).toEqual(
      new Map([["signing", "its key is missing (2026-11-23T00:40:12Z)"]]),
    );
  });

  test("everything of a machine with nothing on it", () => {
    expect(of({ state: "new" })).toEqual(
      new Map([["everything", "nothing of pulumi-nixos-cache was there (2026-11-23T00:40:12Z)"]]),
    );
  });
});

describe("what a person hears", () => {
  const said = (observation: Observation) => driftInWords("pai", observation);

  test("nothing of a machine that is as it should be, or new", () => {
    expect(said(known())).toBeUndefined();
    expect(said({ state: "new" })).toBeUndefined();
  });

  test("that it is unknown, and why; not that all is well", () => {
    expect(said({ state: "unknown", reason: "the name pai.lan is not known" })).toEqual({
      severity: "warn",
      text: "pai: could not be observed, so whether it has drifted is unknown: the name pai.lan is not known",
    });
  });

  test("what has drifted, each once", () => {
    expect(
      said(known(["settings client", "it went back"], ["identity", "b"], ["signing", "b"])),
    ).toEqual({
      severity: "warn",
      text: "pai has drifted: it went back; b. `pulumi up` repairs it.",
    });
  });

  test("less loudly of another helper alone, which is so after every change of this program", () => {
    expect(said(known(["agent", otherHelper]))).toEqual({
      severity: "info",
      text: `pai: ${otherHelper}. \`pulumi up\` replaces it.`,
    });
  });
});
