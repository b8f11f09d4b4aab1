import type { Home } from "../system/home.ts";

/** One fetch of a path that no store but the server's had. */
export interface Fetch {
  path: string;
  /** When it began and ended: `Date.now()`. */
  began: number;
  ended: number;
  /** What Nix said, if the path did not come. */
  failure?: string;
}

/** Builds this many paths at once, so that fetching, not building, takes most of the time. */
const batch = 4;

/** Goes on building new paths on the server and fetching each of them on a client, until it is stopped. */
export class FetchLoop {
  readonly fetches: Fetch[] = [];
  readonly #home: Home;
  readonly #client: string;
  readonly #server: string;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(home: Home, client: string, server = "kalaw") {
    this.#home = home;
    this.#server = server;
    this.#client = client;
    this.#done = this.#run();
    // It is awaited in `stop`; until then a failure must not end the process.
    this.#done.catch(() => {});
  }

  /** @throws when a path could not be built; failed fetches are in `fetches`. */
  async stop(): Promise<Fetch[]> {
    this.#stopped = true;
    await this.#done;
    return this.fetches;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) for (const path of await this.#build()) await this.#fetch(path);
  }

  async #build(): Promise<string[]> {
    const text = `built at ${new Date().toISOString()}, ${process.hrtime.bigint()}`;
    const expression = `map (n: (import /etc/nixpkgs { }).runCommand "loop" { }
      "echo \${toString n} ${text} > $out") [ ${Array.from({ length: batch }, (_, n) => n).join(" ")} ]`;
    const built = await this.#home.on(
      this.#server,
      'nix-build --no-out-link --expr "$(cat)"',
      expression,
    );
    return built.split("\n");
  }

  async #fetch(path: string): Promise<void> {
    const began = Date.now();
    const { code, stderr } = await this.#home.tryOn(this.#client, `nix-store --realise ${path}`);
    const from = new RegExp(`copying path '${path}' from 'ssh(-ng)?://nix-ssh@${this.#server}'`);
    const came = code === 0 && from.test(stderr);
    this.fetches.push({ path, began, ended: Date.now(), ...(!came && { failure: stderr }) });
  }
}
