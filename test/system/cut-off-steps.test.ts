import { beforeAll, describe, expect, test } from "vitest";
import { buildNewPath, fetchPath } from "../../dev/lab/demonstration.ts";
import { generateSigningKeypair } from "../../keys/signing-key.ts";
import { generateSshKeypair } from "../../keys/ssh-key.ts";
import { callHelperToUndo } from "../../machine/helper.ts";
import { useHome } from "./home.ts";
import {
  data,
  ours,
  paiOnKalaw,
  type StepInputs,
  stack,
  step,
  stepInputs,
  traces,
} from "./step.ts";

const home = useHome(undefined, { after: "up" });
let inputs: StepInputs;
beforeAll(async () => {
  inputs = await stepInputs(home());
});

describe("a helper that is not whole does nothing", () => {
  /** Runs a step of a copy of the helper to which something was done. */
  const spoilt = (spoil: string) =>
    home().tryOn(
      "kalaw",
      `rm -rf /root/spoilt && cp -R ${data}/helper /root/spoilt && cd /root/spoilt && ${spoil}
       exec sh steps/main.sh revoke --owner '${stack} ${paiOnKalaw}'`,
      inputs.key,
    );

  test.each([
    ["a part that was edited", "echo '# edited' >>steps/revoke.sh; echo >>steps/words.sh"],
    ["a module that was cut off", "truncate -s 100 nixos/module.nix"],
    ["a file that is missing", "rm nixos/default.nix"],
  ])("%s", async (_, spoil) => {
    const before = await traces(home(), "kalaw");
    const { code, stderr } = await spoilt(spoil);
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("the helper did not arrive whole: run `pulumi up`"),
    ]);
    expect(await traces(home(), "kalaw")).toBe(before);
  });

  test("any part of it cut in half", async () => {
    const before = await traces(home(), "kalaw");
    const parts = (await home().on("kalaw", `ls ${data}/helper/steps`)).split("\n");
    expect(parts.length).toBeGreaterThan(15);
    for (const part of parts.filter((part) => part !== "main.sh")) {
      const cut = `truncate -s $(($(stat -c %s steps/${part}) / 2)) steps/${part}`;
      expect((await spoilt(cut)).code, part).not.toBe(0);
    }
    expect(await traces(home(), "kalaw")).toBe(before);
  });

  test("its first file cut off anywhere", async () => {
    const before = await traces(home(), "kalaw");
    await home().tryOn(
      "kalaw",
      `for size in $(seq 0 150 $(stat -c %s ${data}/helper/steps/main.sh)); do
         rm -rf /root/spoilt && cp -R ${data}/helper /root/spoilt && truncate -s $size /root/spoilt/steps/main.sh
         echo '${inputs.key.trimEnd()}' | sh /root/spoilt/steps/main.sh revoke --owner '${stack} ${paiOnKalaw}'
       done`,
    );
    expect(await traces(home(), "kalaw")).toBe(before);
  });

  test("where it is missing, nothing can be undone while there are settings, which would stay", async () => {
    const undo = () =>
      home().tryOn("pai", callHelperToUndo(`remove-identity --owner '${stack} pai'`), "");
    await home().on("pai", `mv ${data}/helper /root/helper`);
    const { code, stderr } = await undo();
    expect([code, stderr]).toEqual([
      1,
      "the helper is missing on this machine: run pulumi up first\n",
    ]);
    // Where they are in no system and in no configuration, there is nothing to undo.
    const system = await home().on("pai", "readlink /run/current-system");
    const first = "$(readlink -f /nix/var/nix/profiles/system-1-link)";
    await home().on("pai", `mv ${ours}/host /root/host && ln -sfn ${first} /run/current-system`);
    expect(await undo()).toEqual({ code: 0, stdout: "", stderr: "" });
    await home().on(
      "pai",
      `ln -sfn ${system} /run/current-system && mv /root/helper ${data}/helper && mv /root/host ${ours}/host`,
    );
  });
});

describe("a step that is killed at any write is made good by the next one", () => {
  const newKey = generateSigningKeypair("kalaw", new Date("2026-01-01T00:00:00Z"));
  const addKey = () => `${inputs.server}${newKey.privateKey}`;

  interface Killed {
    host: string;
    words: string;
    component: string;
    input: string;
    /** The step before, so that this one has something to do. */
    setUp?: { words: string; component: string; input: string };
  }

  /**
   * Runs a step as often as it writes files, and kills it each time at a later write, before a file is in its place and
   * after. Then it is run whole, from what was left.
   * @returns the files, as hashes: after a run that nobody killed; on the way, where it was killed; at the end
   */
  async function killedAnywhere({ host, words, component, input, setUp }: Killed) {
    const owner = (component: string) => `--owner '${stack} ${component}'`;
    await home().on(host, "cat >/root/before-input", setUp?.input ?? "");
    const output = await home().on(
      host,
      `set -eu
       cat >/root/input
       rm -rf /root/killed /root/original /root/before
       cp -R ${data}/helper /root/killed && cp -a ${data} /root/original && cd /root/killed
       sed -i 's|mv -f "$next" "$2"|kill_here \\&\\& mv -f "$next" "$2" \\&\\& kill_here|' steps/files.sh
       grep -q kill_here steps/files.sh
       cat >>steps/files.sh <<'END'
kill_here() {
  left=$(cat /root/left)
  echo $((left - 1)) >/root/left
  if [ "$left" -gt 0 ]; then return; fi
  kill -KILL $$
  exit 1
}
END
       find steps nixos -type f | sort | xargs sha256sum >SHA256SUMS
       run() { sh "$1/steps/main.sh" ${words} ${owner(component)} </root/input >/dev/null; }
       back() { find ${data} -mindepth 1 -delete; cp -a "$1/." ${data}; }
       files() { cd ${data} && find . -type f -not -path './helper/*' -not -name log | sort | xargs sha256sum; }
       # Whether the daemon has started since nix.conf was written, as far as there is one.
       daemon() {
         started=$(systemctl show --property=ActiveEnterTimestampMonotonic --value nix-daemon)
         written=$(stat -c %.Y ${data}/nix.conf 2>/dev/null || echo 0)
         echo "$(date +%s.%N) $(cut -d' ' -f1 /proc/uptime) $started $written" |
           awk '{ print ($1 - $2 + $3 / 1000000 >= $4) ? "the daemon knows" : "the daemon does not know" }'
       }
       state() { echo "$(files | sha256sum | cut -c1-64) $(daemon)"; }
       systemctl start nix-daemon
       ${setUp === undefined ? "" : `sh ${data}/helper/steps/main.sh ${setUp.words} ${owner(setUp.component)} </root/before-input >/dev/null`}
       cp -a ${data} /root/before
       echo "from $(state)"
       run ${data}/helper
       echo "whole $(state)"
       for writes in $(seq 0 30); do
         back /root/before
         echo "$writes" >/root/left
         if run /root/killed 2>/dev/null; then echo done; break; fi
         echo "cut $(state)"
         run ${data}/helper
         echo "killed $(state)"
       done
       back /root/original
       systemctl try-restart nix-daemon`,
      input,
    );
    const states = (kind: string) =>
      output
        .split("\n")
        .flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []));
    return {
      from: states("from"),
      whole: states("whole"),
      cut: states("cut"),
      end: states("killed"),
      done: output.endsWith("done"),
    };
  }

  test.each<[string, () => Killed]>([
    [
      "authorize",
      () => ({
        host: "kalaw",
        words: "authorize",
        component: paiOnKalaw,
        input: `${generateSshKeypair("pai").publicKey}\n`,
      }),
    ],
    [
      "access, where an older key goes",
      () => ({
        host: "kalaw",
        words: `access ${inputs.signingKey}`,
        component: paiOnKalaw,
        input: inputs.key,
        setUp: {
          words: "authorize",
          component: paiOnKalaw,
          input: `${generateSshKeypair("pai").publicKey}\n`,
        },
      }),
    ],
    [
      "access, where an older signing key goes",
      () => ({
        host: "kalaw",
        words: `access ${newKey.name}`,
        component: paiOnKalaw,
        input: inputs.key,
        setUp: { words: `signing ${newKey.name}`, component: "kalaw", input: addKey() },
      }),
    ],
    [
      "revoke",
      () => ({ host: "kalaw", words: "revoke", component: paiOnKalaw, input: inputs.key }),
    ],
    [
      "signing",
      () => ({
        host: "kalaw",
        words: `signing ${newKey.name}`,
        component: "kalaw",
        input: addKey(),
      }),
    ],
    [
      "remove-signing, of the last key",
      () => ({
        host: "kalaw",
        words: `remove-signing ${inputs.signingKey}`,
        component: "kalaw",
        input: "",
      }),
    ],
    [
      "identity",
      () => ({
        host: "pai",
        words: "identity",
        component: "pai",
        input: inputs.identity,
        setUp: { words: "remove-identity", component: "pai", input: "" },
      }),
    ],
    [
      "remove-identity",
      () => ({ host: "pai", words: "remove-identity", component: "pai", input: "" }),
    ],
  ])("%s", async (_, of) => {
    const { from, whole, cut, end, done } = await killedAnywhere(of());
    expect(done).toBe(true);
    expect(whole).not.toEqual(from);
    expect(whole).toEqual([expect.stringContaining("the daemon knows")]);
    // It was killed at its beginning, at its end, and on the way.
    expect(cut.length).toBeGreaterThan(1);
    expect(new Set(end)).toEqual(new Set(whole));
  });

  test("remove-settings, of the last role", async () => {
    const before = await home().on("pai", "readlink -f /nix/var/nix/profiles/system-1-link");
    await home().on("pai", step("remove-identity", "pai"), "");
    // Where all but the data is gone.
    const { code } = await home().tryOn(
      "pai",
      `rm -rf /root/killed && cp -R ${data}/helper /root/killed && cd /root/killed
       sed -i 's|^  remove_folder "$data"$|  kill -KILL $$|' steps/settings.sh && grep -q KILL steps/settings.sh
       find steps nixos -type f | sort | xargs sha256sum >SHA256SUMS
       sh steps/main.sh remove-settings client --owner '${stack} pai'`,
      "",
    );
    expect(code).not.toBe(0);
    await home().on("pai", `test -e ${data} && test ! -e ${ours}`);
    await home().on("pai", step("remove-settings client", "pai"), "");
    expect(await home().on("pai", "readlink -f /run/current-system")).toBe(before);
    const left = `ls -d ${data} ${ours} /run/nixos-cache* /var/lib/nixos-cache*`;
    expect((await home().tryOn("pai", left)).stdout).toBe("");
    // The next one has nothing to do, and no helper to do it.
    await home().on("pai", callHelperToUndo(`remove-settings client --owner '${stack} pai'`), "");
  });

  test("and an update brings back what is gone", async () => {
    await home().up();
    const path = await buildNewPath(home().lab, "kalaw");
    expect((await fetchPath(home().lab, "pai", path)).path).toBe(path);
  });
});
