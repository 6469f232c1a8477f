/** Peers in C: compiled with gcc when they are wanted, into a cache directory, under the name of what they are made of. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Job } from "../job.ts";
import type { Peer, PeerOptions, PeerReport } from "./peer.ts";

const run = promisify(execFile);

export type CPeerName = "c-spin" | "c-futex" | "c-unix";

const BUILDS: Readonly<Record<CPeerName, { readonly source: string; readonly flags: readonly string[] }>> = {
  "c-spin": { source: "shared.c", flags: [] },
  "c-futex": { source: "shared.c", flags: ["-DSLEEP"] },
  "c-unix": { source: "unix.c", flags: [] },
};
/** Files that every source includes. */
const HEADER = "bench.h";
/** A run of a peer is as long as one of ours: a tenth of a second. It has hung when it takes this long. */
const HUNG_MS = 60_000;
/** Samples of the longest run that anybody asks for. */
const MAX_OUTPUT = 2 ** 30;

/** @throws Error with the reason why it cannot run here, in one line */
export async function startCPeer(name: CPeerName, { sources, cpus }: PeerOptions): Promise<Peer> {
  if (process.platform !== "linux") throw new Error(`it is written for Linux, and this is ${process.platform}`);
  const program = await build(name, fileURLToPath(sources));
  return { name, run: (job) => measure(program, job, cpus), stop: async () => {} };
}

async function measure(program: string, job: Job, cpus: PeerOptions["cpus"]): Promise<PeerReport> {
  const [pingCpu, pongCpu] = cpus ?? [-1, -1];
  const numbers = [job.size, job.warmUp, job.count].map(String);
  const args = [job.mode, ...numbers, job.payload, String(pingCpu), String(pongCpu)];
  const { stdout } = await run(program, args, { encoding: "buffer", maxBuffer: MAX_OUTPUT, timeout: HUNG_MS });
  // The bytes may lie anywhere in a pool of Node's: copied, so that they begin where doubles may.
  const [elapsedMs = Number.NaN, ...samples] = new Float64Array(new Uint8Array(stdout).buffer);
  return { elapsedMs, samples: Float64Array.from(samples), messages: job.count };
}

/** @returns the path of the program */
async function build(name: CPeerName, sources: string): Promise<string> {
  const { source, flags } = BUILDS[name];
  const options = ["-O2", ...flags];
  const compiler = await run("gcc", ["--version"]).catch(() => {
    throw new Error("there is no gcc to compile it with");
  });
  const made = createHash("sha256").update(compiler.stdout).update(options.join(" "));
  for (const file of [HEADER, source]) made.update(readFileSync(join(sources, file)));
  const directory = cacheDirectory();
  const program = join(directory, `${name}-${made.digest("hex").slice(0, 16)}`);
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    // Not yet. Two runs at a time may both build it: each under a name of its own, the last one stays.
    const fresh = `${program}.${process.pid}`;
    await run("gcc", [...options, "-o", fresh, join(sources, source)]).catch((error: unknown) => {
      throw new Error(`gcc failed: ${String(error).split("\n")[0]}`);
    });
    renameSync(fresh, program);
    return program;
  }
}

/** The user's, or one below the directory for temporary files when that cannot be written. */
function cacheDirectory(): string {
  const base = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  for (const candidate of [join(base, "toril", "ping-pong"), join(tmpdir(), `toril-ping-pong-${process.getuid?.()}`)]) {
    try {
      mkdirSync(candidate, { recursive: true, mode: 0o700 });
      accessSync(candidate, constants.W_OK);
      return candidate;
    } catch {
      // the next one
    }
  }
  throw new Error("there is no directory to compile it into");
}
