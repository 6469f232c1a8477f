/** Loads the packages' sources with other globals, and with a mutation if one is asked for. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { build, type Plugin } from "esbuild";
import { StandIns } from "./stand-ins.ts";

/** A small change of one source file. */
export interface SourceChange {
  /** From the root of the repository. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
}

/** The code under test, and the stand-ins that it works on. */
export interface Loaded {
  readonly code: typeof import("./under-test.ts");
  readonly standIns: StandIns;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const ENTRY = fileURLToPath(new URL("./under-test.ts", import.meta.url));

/** @throws Error when the text of a change is not there exactly once, or its file is not part of what is loaded. */
export async function load(changes: readonly SourceChange[] = []): Promise<Loaded> {
  const applied = new Set<string>();
  const plugin: Plugin = {
    name: "changes",
    setup: ({ onLoad }) => {
      onLoad({ filter: /\/packages\/.*\.ts$/ }, ({ path }) => {
        let contents = readFileSync(path, "utf8");
        for (const change of changes) {
          if (`${ROOT}${change.file}` !== path) continue;
          contents = changedSource(contents, change);
          applied.add(change.file);
        }
        return { contents, loader: "ts" };
      });
    },
  };
  const { outputFiles } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    write: false,
    format: "cjs",
    platform: "neutral",
    target: "es2022",
    conditions: ["@toril/source"],
    plugins: [plugin],
    logLevel: "silent",
  });
  const missed = changes.find(({ file }) => !applied.has(file));
  if (missed !== undefined) throw new Error(`${missed.file} is not part of the code that is explored`);
  const standIns = new StandIns();
  const globals = standIns.globals();
  const run = compileFunction(outputFiles[0]?.text ?? "", ["module", ...globals.keys()], { filename: "under-test.js" });
  const module = { exports: {} };
  run(module, ...globals.values());
  return { code: module.exports as Loaded["code"], standIns };
}

/** @throws Error when the text is not there exactly once: a mutant that changes nothing proves nothing. */
export function changedSource(contents: string, { file, text, replacement }: SourceChange): string {
  const [before, after, ...more] = contents.split(text);
  if (before === undefined || after === undefined) throw new Error(`${file} does not contain: ${text}`);
  if (more.length > 0) throw new Error(`${file} contains more than once: ${text}`);
  return `${before}${replacement}${after}`;
}
