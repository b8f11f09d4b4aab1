import { describe, expect, test } from "vitest";
import { Answer } from "../../cli/answer.ts";
import { fetchedInWords, pathBuilt } from "../../cli/tried-path.ts";

const path = `/nix/store/${"0".repeat(32)}-nixos-cache-try`;
const built = (text: string) => pathBuilt("kalaw", new Answer(`${text}\nend\n`));
const fetched = (...lines: string[]) => fetchedFrom("kalaw.lan", ...lines);
const fetchedFrom = (address: string, ...lines: string[]) =>
  fetchedInWords("pai", new Answer([...lines, "end", ""].join("\n")), { server: "kalaw", address });

describe("built", () => {
  test("a path", () => {
    expect(built(`built\t${path}\t120`)).toEqual({ path, milliseconds: 120 });
  });

  test.each(["built\t/etc/shadow\t1", `built\t${path}/../x\t1`, "built\t--option\t1"])(
    "what is no path of ours is not handed on: %s",
    (text) => expect(() => built(text)).toThrow("kalaw could not build a path"),
  );

  test("why not", () => {
    expect(() => built("failed\terror: disk is full")).toThrow(
      "kalaw could not build a path: error: disk is full",
    );
  });
});

describe("fetched", () => {
  const url = "from\tssh://nix-ssh@kalaw.lan?priority=10";
  const signed = "signed\tkalaw-20260101T000000Z";

  test.each([url, url.replace("ssh:", "ssh-ng:"), "from\tssh-ng://"])(
    "from its server, by either protocol, with its signature: %s",
    (url) =>
      expect(fetched("fetched\t80", url, signed)).toBe(
        "pai fetched it in 80 ms, signed by kalaw-20260101T000000Z",
      ),
  );

  test("from an IPv6 address, which Nix has in brackets", () => {
    const url = "from\tssh://nix-ssh@[fd00::1]?priority=10";
    expect(fetchedFrom("fd00::1", "fetched\t80", url, signed)).toMatch(/^pai fetched it/);
  });

  test("not at all, from elsewhere, without a signature", () => {
    expect(() => fetched("failed\terror: no substituter")).toThrow("pai could not fetch it: error");
    expect(() => fetched("fetched\t80", signed)).toThrow("pai had it already");
    expect(() => fetched("fetched\t80", "from\thttps://kalaw.lan", signed)).toThrow(
      "pai fetched it from somebody else: https://kalaw.lan",
    );
    expect(() => fetched("fetched\t80", url, "signed\tkalaw-2-20260101T000000Z")).toThrow(
      "without a signature",
    );
  });
});
