/** A copy of a package in which it can be broken: the tree itself is never touched. */
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, mutate } from "./mutant.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** What tests need of a package beside its sources. */
const COPIED = ["src", "test", "package.json", "vitest.config.ts", "tsconfig.json", "tsconfig.test.json"];
/** A broken ring may run in a circle: that counts as noticed, because a person would notice, too. */
const TIME_LIMIT_MS = 120_000;

export type Outcome =
  | { readonly kind: "passed" }
  /** `by`: the first test that failed. */
  | { readonly kind: "failed"; readonly by: string }
  | { readonly kind: "hung" };

export class Workbench {
  readonly #folder: string;
  readonly #package: string;
  /** Files that were changed, as they were: the tree itself may move on meanwhile. */
  readonly #sound = new Map<string, string>();

  constructor(packageName: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "toril-mutant-"));
    this.#package = join(ROOT, "packages", packageName);
    for (const name of COPIED) {
      const from = join(this.#package, name);
      if (existsSync(from)) cpSync(from, join(this.#folder, name), { recursive: true });
    }
    symlinkSync(join(this.#package, "node_modules"), join(this.#folder, "node_modules"));
  }

  /** @throws Error when the mutant does not fit the source any more. */
  apply(mutant: Mutant): void {
    const { file } = mutant;
    const source = this.#sound.get(file) ?? readFileSync(join(this.#folder, file), "utf8");
    this.#sound.set(file, source);
    writeFileSync(join(this.#folder, file), mutate(source, mutant));
  }

  /** Takes all mutants back. */
  restore(): void {
    for (const [file, source] of this.#sound) writeFileSync(join(this.#folder, file), source);
  }

  /** Runs test files until the first test fails. */
  async test(files: readonly string[]): Promise<Outcome> {
    const reports = join(this.#folder, ".reports");
    rmSync(reports, { recursive: true, force: true });
    const vitest = join(this.#package, "node_modules/vitest/vitest.mjs");
    const child = spawn(process.execPath, [vitest, "run", "--bail=1", ...files], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const kill = (): void => killGroup(child.pid);
    const timer = setTimeout(kill, TIME_LIMIT_MS);
    // Its own group, so that its test processes end with it; but then it does not end with us by itself.
    process.once("exit", kill);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    clearTimeout(timer);
    process.off("exit", kill);
    if (code === 0) return { kind: "passed" };
    return code === null ? { kind: "hung" } : { kind: "failed", by: firstFailure(reports) ?? firstError(output) };
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The source of a mutant's file as it is in the tree. */
export function sourceOf({ package: folder, file }: Mutant): string {
  return readFileSync(join(ROOT, "packages", folder, file), "utf8");
}

/** Vitest and its test processes. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function firstFailure(folder: string): string | undefined {
  const [file] = existsSync(folder) ? readdirSync(folder) : [];
  if (file === undefined) return undefined;
  const { testResults } = JSON.parse(readFileSync(join(folder, file), "utf8")) as Report;
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  return all.find(({ status }) => status === "failed")?.fullName;
}

/** When no test failed, but vitest did: a file that could not be loaded, a test process that died. */
function firstError(output: string): string {
  return output.split("\n").find((line) => line.includes("Error")) ?? "vitest, which said nothing";
}
