import { describe, expect, test } from "vitest";
import { Answer } from "../../cli/answer.ts";
import { type ComputerFacts, computerFindings } from "../../cli/checks/computer.ts";
import { fetchFinding } from "../../cli/checks/fetching.ts";
import { loginFinding } from "../../cli/checks/login.ts";
import { type MachineFacts, machineFindings } from "../../cli/checks/machine.ts";
import { standingFindings } from "../../cli/checks/standing.ts";
import type { Part } from "../../machine/drift.ts";
import { sshErrorInWords } from "../../machine/ssh-error.ts";

describe("this computer", () => {
  const well: ComputerFacts = {
    node: "22.18.0",
    pulumi: "3.226.0",
    neededPulumi: "3.226.0",
    mistakes: [],
    agent: { keys: 1 },
  };
  const wrong = (changes: Partial<ComputerFacts>) =>
    computerFindings({ ...well, ...changes }).map(({ wrong }) => wrong);

  test("as it should be", () => expect(computerFindings(well)).toEqual([]));

  test.each<[string, Partial<ComputerFacts>]>([
    ["there is no Node on PATH", { node: undefined }],
    ["Node 20.20.2 is too old", { node: "20.20.2" }],
    ["there is no Pulumi CLI on PATH", { pulumi: undefined }],
    ["the Pulumi CLI 3.99.0 is too old", { pulumi: "3.99.0" }],
    ["the SSH agent holds no keys", { agent: { keys: 0 } }],
    ["the SSH agent does not answer", { agent: { keys: undefined } }],
    [
      "the SSH agent at /run/agent (nixos-cache:agentSocket) holds no keys",
      { agent: { own: "/run/agent", keys: 0 } },
    ],
    [
      "the SSH agent at /run/agent (nixos-cache:agentSocket) does not answer",
      { agent: { own: "/run/agent", keys: undefined } },
    ],
    [
      "you are not logged in to a backend, where Pulumi keeps what it has made",
      {
        stackFailure:
          "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
      },
    ],
    [
      "there is no Pulumi project in this folder",
      { stackFailure: "error: no Pulumi.yaml project file found (searching upwards from /)" },
    ],
    ["no stack is selected", { stackFailure: "error: no stack selected; please use `pulumi …`" }],
    [
      "the passphrase is not the one of this stack",
      { stackFailure: "error: incorrect passphrase\n" },
    ],
    [
      "Pulumi has no passphrase to read the stack's secrets with",
      { stackFailure: "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or …" },
    ],
    [
      "Pulumi cannot read the stack: error: the disk is full",
      { stackFailure: "error: the disk\n is full" },
    ],
  ])("%s", (words, changes) => expect(wrong(changes)).toEqual([words]));

  test("mistakes in the settings, each with what to write", () => {
    const mistakes = ["nixos-cache:plan is neither true nor false: write one of them"];
    expect(computerFindings({ ...well, mistakes })).toEqual([
      { wrong: "nixos-cache:plan is neither true nor false", todo: "write one of them" },
    ]);
  });
});

describe("logging in: whatever ssh says, there is something to do", () => {
  const target = { host: "kalaw.lan", port: 22, user: "root", hostKeyType: "ssh-ed25519" };
  const error = (message: string, more: object = {}) =>
    loginFinding(sshErrorInWords(Object.assign(new Error(message), more), target));

  test.each<[string, RegExp, object]>([
    ["", /authorizedKeys/, { level: "client-authentication" }],
    ["", /run ssh-add/, { level: "agent" }],
    ["", /services.openssh.enable/, { level: "client-socket", code: "ECONNREFUSED" }],
    ["", /turn it on/, { level: "client-socket", code: "EHOSTUNREACH" }],
    ["", /turn it on/, { level: "client-timeout" }],
    ["", /connection.host/, { level: "client-socket", code: "ENOTFOUND" }],
    ["Host denied (verification failed)", /on its console/, {}],
    ["Connection lost before handshake", /PerSourcePenalties/, {}],
    ["Something else", /log in to it with ssh/, {}],
  ])("%s %s", (message, todo, more) => {
    expect(error(message, more).todo).toMatch(todo);
  });
});

describe("a machine", () => {
  const lines = [
    "nixos\t25.11.20251101.abcdef (Xantusia)",
    "nix\t2.31.2",
    "time\t1000000",
    "sftp\tinternal-sftp",
    "daemon\tactive",
    "import\tyes",
    "free\t/nix/store\t9000000000\t900000",
    "free\t/boot\t90000000\tnone",
    "setting\tsubstituters\thttps://cache.nixos.org ssh://nix-ssh@kalaw?priority=10",
    "setting\ttrusted-public-keys\tcache.nixos.org-1:a= kalaw-1:b=",
    "setting\tsecret-key-files\t/var/lib/nixos-cache/secret/signing/newest",
    "setting\tallowed-users\t*",
    "setting\tsubstitute\ttrue",
    "setting\tfallback\ttrue",
  ];
  const facts = (change: string, more: Partial<MachineFacts> = {}): MachineFacts => {
    const changed = change.split("\t");
    // In the place of the line with the same beginning.
    const length = ["setting", "free"].includes(changed[0] ?? "") ? 2 : 1;
    const rest = lines.filter(
      (line) =>
        line.split("\t").slice(0, length).join() !== changed.slice(0, length).join() &&
        change !== `no ${line.split("\t")[0]}`,
    );
    const own = change.startsWith("no ") || change === "" ? [] : [change];
    return {
      answer: new Answer(`${[...rest, ...own, "end"].join("\n")}\n`),
      at: 1_000_000_000,
      serves: true,
      isRebuiltByPulumi: true,
      caches: [{ name: "kalaw", address: "kalaw", trustedKey: "kalaw-1:b=" }],
      ...more,
    };
  };
  const wrong = (...given: Parameters<typeof facts>) =>
    machineFindings(facts(...given)).map(({ wrong }) => wrong);

  test.each(["", "setting\tsubstituters\tssh-ng://nix-ssh@kalaw?priority=10"])(
    "as it should be %s",
    (change) => expect(wrong(change)).toEqual([]),
  );

  test("as it should be, with a cache at an IPv6 address", () => {
    const caches = [{ name: "kalaw", address: "fd00::1", trustedKey: "kalaw-1:b=" }];
    const change = "setting\tsubstituters\tssh://nix-ssh@[fd00::1]?priority=10";
    expect(machineFindings(facts(change, { caches })).map(({ wrong }) => wrong)).toEqual([]);
  });

  test.each([
    ["no nixos", "it does not run NixOS"],
    ["nixos\t24.05.1", "its NixOS 24.05.1 is too old"],
    ["nix\t2.18.9", "its Nix 2.18.9 is too old for what the caches of today speak"],
    ["daemon\tinactive", "its Nix daemon's socket is inactive"],
    ["no sftp", "its sshd offers no SFTP, by which the helper comes"],
    ["time\t1003600", "its clock is 1 hour ahead of this computer's"],
    ["time\t999700", "its clock is 5 minutes behind this computer's"],
    ["import\tno", "no file in its /etc/nixos imports ./nixos-cache"],
    ["free\t/nix/store\t1048576\t900000", "/nix/store has 1.0 MiB left"],
    ["free\t/nix/store\t9000000000\t7", "/nix/store has room for 7 more files only"],
    ["free\t/boot\t4096\tnone", "/boot has 4.0 KiB left"],
    [
      "volatile\t/var/lib/nixos-cache\ttmpfs",
      "/var/lib/nixos-cache is in memory (tmpfs), so it is gone at the next start",
    ],
    [
      "setting\tsubstituters\thttps://cache.nixos.org",
      "Nix does not ask kalaw: it is not among the substituters",
    ],
    [
      "setting\ttrusted-public-keys\tcache.nixos.org-1:a=",
      "Nix does not trust the signatures of kalaw",
    ],
    ["setting\tsubstitute\tfalse", "Nix fetches nothing: substitute is false"],
    ["setting\tfallback\tfalse", "a build fails while its cache is off: fallback is false"],
    ["setting\tsecret-key-files\t", "Nix signs nothing that it builds: secret-key-files is empty"],
    [
      "setting\tallowed-users\troot @wheel",
      "Nix does not let nix-ssh read the store: it is not among allowed-users",
    ],
  ])("%s", (change, words) => expect(wrong(change)).toEqual([words]));

  test("what is not known is not wrong, and what concerns others neither", () => {
    expect(wrong("free\t/nix/store\tlots\tmany")).toEqual([]);
    expect(wrong("import\tno", { isRebuiltByPulumi: false })).toEqual([]);
    expect(wrong("setting\tsubstitute\tfalse", { caches: [] })).toEqual([]);
    expect(wrong("setting\tsecret-key-files\t", { serves: false })).toEqual([]);
  });
});

describe("between a client and its cache", () => {
  const cache = { name: "kalaw", address: "kalaw.lan", port: 22 };
  const wrong = (line: string, hasKey = true) =>
    fetchFinding(new Answer(`${line}\nend\n`), cache, { name: "pai", hasKey }).map(
      ({ wrong }) => wrong,
    );

  test("who has no key yet is refused rightly", () => {
    expect(wrong("reach\tkalaw.lan\tPermission denied (publickey).", false)).toEqual([]);
    expect(wrong("reach\tkalaw.lan\tConnection refused", false)).not.toEqual([]);
  });

  test.each([
    ["reach\tkalaw.lan\tyes", []],
    ["reach\tnuc.lan\trefused", []],
    [
      "name\tkalaw.lan\tunknown",
      ["does not know the name kalaw.lan, by which it fetches from kalaw"],
    ],
    [
      "reach\tkalaw.lan\tnix-ssh@kalaw.lan: Permission denied (publickey).",
      ["kalaw does not let the key of pai in"],
    ],
    [
      "reach\tkalaw.lan\tHost key verification failed.",
      ["who answers at kalaw.lan has another host key than kalaw"],
    ],
    [
      "reach\tkalaw.lan\tssh: connect to host kalaw.lan port 22: Connection refused",
      ["kalaw.lan port 22 refuses connections"],
    ],
    [
      "reach\tkalaw.lan\tssh: connect to host kalaw.lan port 22: Connection timed out",
      ["kalaw.lan port 22 does not answer"],
    ],
    ["reach\tkalaw.lan\todd\u001b[31m", ["cannot log in to kalaw: odd31m"]],
  ])("%j", (line, words) => expect(wrong(line)).toEqual(words));
});

describe("how it stands", () => {
  const known = (notes: string[], drift: [Part, string][] = []) =>
    standingFindings({ state: "known", notes, drift: new Map(drift), runs: new Map() });

  test("as it was left", () => expect(known([])).toEqual([]));

  test("new, unknown, or drifted", () => {
    expect(standingFindings({ state: "new", imports: true })[0]?.todo).toBe("run pulumi up");
    expect(standingFindings({ state: "unknown", reason: "kalaw did not answer in time" })).toEqual([
      loginFinding("kalaw did not answer in time"),
    ]);
    expect(
      known(
        [],
        [
          ["keys server", "nix.conf is missing"],
          ["keys client", "nix.conf is missing"],
        ],
      ),
    ).toEqual([{ wrong: "nix.conf is missing", todo: "run pulumi up, which repairs it" }]);
  });

  test("notes, each with what to do", () => {
    expect(
      known([
        "nix-ssh also lets in 1 key not of this stack: SHA256:x",
        "/etc/nixos/nixos-cache was committed to git, and is its own: git rm it",
      ]).map(({ todo }) => todo),
    ).toEqual([expect.stringMatching(/onlyOurKeys: true/), "git rm it"]);
  });
});
