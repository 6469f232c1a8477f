/** Peers in C: compiled with gcc when they are wanted, into a cache directory, under the name of what they are made of. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FLAGS = ["-O2", "-Wall", "-pthread"];

/**
 * The program made of `NAME.c` in this folder, and of `more` files there (headers among them).
 * @throws Error with the reason why there is none, in one line
 */
export function compile(name: string, ...more: readonly string[]): string {
  const files = [`${name}.c`, ...more].map((file) => fileURLToPath(new URL(file, import.meta.url)));
  const compiler = gcc(["--version"]);
  const hash = createHash("sha256").update(compiler).update(FLAGS.join());
  for (const file of files) hash.update(readFileSync(file));
  const digest = hash.digest("hex");
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "toril", "bench");
  const program = join(folder, `${name}-${digest.slice(0, 16)}`);
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  // Two runs at a time may both make it: each under a name of its own.
  const fresh = `${program}.${process.pid}`;
  gcc([...FLAGS, "-o", fresh, ...files.filter((file) => file.endsWith(".c"))]);
  renameSync(fresh, program);
  return program;
}

function gcc(args: readonly string[]): string {
  try {
    return execFileSync("gcc", args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Error(missing ? "there is no gcc to compile it with" : `gcc ${args.join(" ")} failed`);
  }
}
