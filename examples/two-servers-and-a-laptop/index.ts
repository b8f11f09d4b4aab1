import { CacheClient, CacheServer } from "pulumi-nixos-cache";

// At home, and always on.
const kalaw = new CacheServer("kalaw", {
  connection: {
    host: "kalaw.lan",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFeRaPGyeUfO/zbdjrsARlJWOwFOy38RuyB7a/r1WIP root@kalaw",
  },
});

// A build machine elsewhere. Clients reach it by another name and port than we do.
const bago = new CacheServer("bago", {
  connection: {
    host: "192.0.2.10",
    user: "fay",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO7qfKpF0bWKq1cSoTIwMIwRw3jGB3LUBbT4mFz2bGBe root@bago",
  },
  address: "bago.example.org",
  port: 2222,
});

// A desktop.
new CacheClient("pai", {
  connection: {
    host: "pai.lan",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtlVd4wkYYnwPmlnRHqbZ8F3J5ohlL7bRSFh4tpZTmG root@pai",
  },
  server: [kalaw, bago],
});

// A laptop: asked after cache.nixos.org, which is nearer when it travels, and twice as long to come back from a rebuild.
new CacheClient("inle", {
  connection: {
    host: "inle.lan",
    hostKey:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tz3jS4M3bPq4CzcwG3u8w1oXcKqv9a4c5sW8o2yNR root@inle",
  },
  server: [kalaw, bago],
  priority: 50,
  confirmWithin: 120,
});

export const trustedPublicKeys = [kalaw.trustedPublicKey, bago.trustedPublicKey];
