import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, test } from "vitest";
import { nameBelow, ownerOf, thisStack } from "../../components/owner.ts";

beforeAll(() =>
  pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => ({ id: `${name}-id`, state: inputs }),
      call: ({ inputs }) => inputs,
    },
    "nixos-cache",
    "home",
    false,
    "fay",
  ),
);

class Server extends pulumi.ComponentResource {
  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("nixos-cache:index:CacheServer", name, {}, opts);
  }
}

class House extends pulumi.ComponentResource {
  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("home:index:House", name, {}, opts);
  }
}

test("a stack is known by its organization, project and name", () => {
  expect(thisStack()).toBe("fay/nixos-cache/home");
});

test("an owner is the stack and the component, in two words", async () => {
  expect(await ownerOf(new Server("kalaw"))).toBe("fay/nixos-cache/home kalaw");
});

test("a component that is renamed is another owner", async () => {
  expect(await ownerOf(new Server("nas"))).not.toBe(await ownerOf(new Server("kalaw-2")));
});

test("a component below another is another owner than one of that name at the top", async () => {
  const house = new House("house");
  const nested = new Server("kalaw-below", { parent: house });
  expect(await ownerOf(nested)).toBe("fay/nixos-cache/home home:index:House/kalaw-below");
});

test("a component is called before it is made as it will be", async () => {
  const house = new House("another house");
  const nested = new Server("nas-below", { parent: house });
  const stack = "fay/nixos-cache/home";
  expect(await ownerOf(nested)).toBe(`${stack} ${await nameBelow(house, "nas-below")}`);
  expect(await ownerOf(new Server("pai"))).toBe(`${stack} ${await nameBelow(undefined, "pai")}`);
});

test("a name is one word, whatever is in it, and no two names are the same word", async () => {
  const wordOf = async (name: string) => (await ownerOf(new Server(name))).split(/\s/).slice(1);
  expect(await wordOf("the\tfile server")).toEqual(["the%09file%20server"]);
  expect(await wordOf("the_file_server")).toEqual(["the_file_server"]);
  expect(await wordOf("kalaw%20[é]*")).toEqual(["kalaw%2520%5b%c3%a9%5d%2a"]);
  expect(await wordOf("home:index:House/kalaw")).toEqual(["home:index:House%2fkalaw"]);
  expect(await wordOf("a::b")).toEqual(["a::b"]);
});
