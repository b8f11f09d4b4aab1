import { until } from "../../dev/lab/until.ts";
import type { Home } from "../system/home.ts";

/** A fetch of a path of 40 MB from kalaw, at some 500 kB/s until it may go as fast as it can. */
export class SlowFetch {
  readonly #home: Home;
  readonly #client: string;
  readonly #done: Promise<string>;

  private constructor(home: Home, client: string, path: string) {
    this.#home = home;
    this.#client = client;
    this.#done = home
      .on(
        client,
        `cd $(mktemp -d) && nix --extra-experimental-features nix-command store dump-path \
         --store ssh://nix-ssh@kalaw ${path} | {
         while [ ! -e /run/hurry ]; do head -c 100000 && touch /run/fetching && sleep 0.2; done; cat
       } | sha256sum`,
      )
      .then(async (sum) => {
        return sum === (await home.on("kalaw", `nix-store --dump ${path} | sha256sum`))
          ? "whole"
          : sum;
      });
  }

  /** @returns when data has come */
  static async begin(home: Home, client: string): Promise<SlowFetch> {
    const path = await home.on(
      "kalaw",
      `f=$(mktemp -d)/large && head -c 40000000 /dev/urandom >$f && nix-store --add $f && rm $f`,
    );
    const fetch = new SlowFetch(home, client, path);
    await until(async () => (await home.tryOn(client, "test -e /run/fetching")).code === 0, {
      seconds: 30,
      otherwise: () => "no data comes",
    });
    return fetch;
  }

  async hurry(): Promise<void> {
    await this.#home.on(this.#client, "touch /run/hurry");
  }

  /** @returns `whole`, or what has come instead */
  end(): Promise<string> {
    return this.#done;
  }
}

/** A login at kalaw with the client's own key that reaches it only when it may end. */
export class SlowLogin {
  readonly #home: Home;
  readonly #client: string;
  readonly #done: Promise<string>;

  private constructor(home: Home, client: string) {
    this.#home = home;
    this.#client = client;
    const proxy =
      "touch /run/dialling; while [ ! -e /run/dial ]; do sleep 0.1; done; exec nc kalaw 22";
    this.#done = home
      .tryOn(
        client,
        `printf '%s\n' '${proxy}' >/run/slow-proxy
         ssh -o ConnectTimeout=600 -o ProxyUseFdpass=no -o 'ProxyCommand=sh /run/slow-proxy' \
           nix-ssh@kalaw nix-store --serve </dev/null`,
      )
      .then(({ code, stderr }) => (code === 255 ? stderr : "let in"));
  }

  /** @returns when ssh has started its proxy, and with that has read what it reads first */
  static async begin(home: Home, client: string): Promise<SlowLogin> {
    const login = new SlowLogin(home, client);
    await until(async () => (await home.tryOn(client, "test -e /run/dialling")).code === 0, {
      seconds: 30,
      otherwise: () => "ssh does not start",
    });
    return login;
  }

  /** @returns `let in`, or what ssh says */
  async end(): Promise<string> {
    await this.#home.on(this.#client, "touch /run/dial");
    return this.#done;
  }
}
