// Makes node_modules match package-lock.json. Runs before anything is installed, on whatever Node
// the machine has (20 or newer), hence plain JavaScript without dependencies.
//
// Afterwards node_modules/.bin/node is a Node that runs TypeScript. Scripts must name that path: a
// shell remembers where it found `node` the first time, so after a first install a bare `node`
// would still be the machine's own.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const modules = join(checkout, "node_modules");
const stamp = join(modules, ".prepared");
const lock = join(checkout, ".prepare-lock");
const heartbeat = 2_000; // ms
const staleAfter = 15_000; // ms without a heartbeat: its process was killed

class Unprepared extends Error {}

/** What node_modules was made from, in one line. Throws {@link Unprepared} without a lock file. */
function wanted() {
  try {
    const hash = createHash("sha256");
    for (const file of ["package.json", "package-lock.json"]) {
      hash.update(readFileSync(join(checkout, file)));
    }
    return `${hash.digest("hex")} ${process.platform}-${process.arch}\n`;
  } catch (error) {
    throw new Unprepared(`cannot read the package files of this checkout: ${error.message}`);
  }
}

function prepared() {
  return (
    existsSync(stamp) &&
    readFileSync(stamp, "utf8") === wanted() &&
    existsSync(join(modules, ".bin", "node"))
  );
}

/** Node strips types without a flag since 22.18. */
function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

/** npm without a shell where npm tells us where it is (it does in `npm run`). */
function npmCommand() {
  const cli = process.env.npm_execpath;
  if (cli && /npm-cli\.c?js$/.test(cli) && existsSync(cli)) return [process.execPath, cli];
  const names = process.platform === "win32" ? ["npm.cmd"] : ["npm"];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of names)
      if (folder && existsSync(join(folder, name))) return [join(folder, name)];
  }
  throw new Unprepared("npm is missing: install npm 10 or newer (Debian: apt install npm).");
}

/**
 * Installs what the lock file says; npm's output is shown only when it fails. Not `npm ci`: it
 * refuses a lock file that was made where a registry lacks other platforms' optional packages.
 * No package here needs its install script, so none is run, whatever npm's version allows.
 */
function install() {
  const [command, ...args] = npmCommand();
  process.stderr.write("Installing npm packages (the first time takes about a minute) …\n");
  // NODE_ENV=production would leave out what the project runs on.
  const env = { ...process.env, NODE_ENV: "development" };
  const flags =
    "install --no-save --include=dev --include=optional --ignore-scripts --no-audit --no-fund";
  const npm = spawn(command, [...args, ...flags.split(" "), "--loglevel=error"], {
    cwd: checkout,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return new Promise((done, failed) => {
    npm.on("error", (error) =>
      failed(new Unprepared(`npm could not be started: ${error.message}`)),
    );
    npm.on("close", (code, signal) => {
      if (code === 0) done();
      else
        failed(
          new Unprepared(`${output.trimEnd()}\nnpm install failed (${signal ?? `exit ${code}`}).`),
        );
    });
  });
}

/** Sees to it that node_modules/.bin/node runs TypeScript: the installed one, else this Node. */
function provideNode() {
  const link = join(modules, ".bin", "node");
  // npm 10 loses the link when it skips another platform's package with a program of that name.
  const installed = join(modules, `node-${process.platform}-${process.arch}`, "bin", "node");
  for (const node of [link, installed, process.execPath]) {
    const run = spawnSync(node, ["--version"], { encoding: "utf8" });
    if (run.status !== 0 || !runsTypeScript(run.stdout.trim())) continue;
    if (node === link) return;
    rmSync(link, { force: true });
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(node === installed ? relative(dirname(link), node) : node, link);
    return;
  }
  throw new Unprepared(
    `no Node package for ${process.platform}-${process.arch} could be installed, and this Node ` +
      `(${process.version}) cannot run TypeScript: install Node 22.18 or newer.`,
  );
}

/** Takes a lock left by a killed process away. Only one of several waiting processes succeeds. */
function breakStaleLock() {
  try {
    const seen = statSync(lock);
    if (Date.now() - seen.mtimeMs < staleAfter) return;
    const aside = `${lock}.${process.pid}`;
    renameSync(lock, aside);
    // Another process may have broken it, and taken it, since we looked.
    if (statSync(aside).ino !== seen.ino && !existsSync(lock)) renameSync(aside, lock);
    else rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

async function withLock(work) {
  for (let waiting = false; ; ) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!waiting) process.stderr.write("Waiting for another run that installs npm packages …\n");
    waiting = true;
    breakStaleLock();
    await new Promise((done) => setTimeout(done, 200));
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimesSync(lock, now, now);
  }, heartbeat);
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.on("exit", release);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
  try {
    await work();
  } finally {
    clearInterval(beat);
    release();
    process.off("exit", release);
  }
}

try {
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new Unprepared(`Node ${process.version} is too old: install Node 20 or newer.`);
  }
  if (!prepared()) {
    await withLock(async () => {
      if (prepared()) return; // by the run that we waited for
      rmSync(stamp, { force: true });
      await install();
      provideNode();
      writeFileSync(stamp, wanted());
    });
  }
} catch (error) {
  if (!(error instanceof Unprepared)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
