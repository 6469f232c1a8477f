/** Peers in C: compiled with gcc -O2 when they are wanted, and kept by the hash of their sources. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const FLAGS = ["-O2", "-pthread"];
const peers = fileURLToPath(new URL("peers/", import.meta.url));
const cache = fileURLToPath(new URL("../node_modules/.cache/peers/", import.meta.url));

/** A program that answers each line with a figure. */
export interface CPeer {
  ask(line: string): Promise<number>;
  stop(): void;
}

/** Compiles and starts a peer of `sources` in peers/; `undefined` where gcc is absent. */
export function startCPeer(name: string, sources: readonly string[]): CPeer | undefined {
  const program = compile(name, sources);
  if (program === undefined) return undefined;
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(line) {
      child.stdin.write(`${line}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`the C peer ${name} ended at "${line}"`);
      return Number(value);
    },
    stop: () => void child.stdin.end(),
  };
}

function compile(name: string, sources: readonly string[]): string | undefined {
  const hash = createHash("sha256").update(FLAGS.join(" "));
  for (const source of sources) hash.update(readFileSync(join(peers, source)));
  const program = join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const fresh = `${program}.${process.pid}`;
  const files = sources.filter((source) => source.endsWith(".c")).map((source) => join(peers, source));
  try {
    execFileSync("gcc", [...FLAGS, ...files, "-o", fresh], { stdio: ["ignore", "ignore", "inherit"] });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  renameSync(fresh, program);
  return program;
}
