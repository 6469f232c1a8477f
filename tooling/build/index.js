// The tsup set-up that every package shares: JavaScript only. `tsc -p tsconfig.build.json` writes the .d.ts beside it.
import { defineConfig } from "tsup";

/**
 * @param {string[] | Record<string, string>} entry source files that become files of their own in dist: public entries, workers
 * @param {import("tsup").Options} overrides what one package needs to have different
 */
export function library(entry, overrides = {}) {
  return defineConfig({
    entry,
    format: "esm",
    target: "node20",
    sourcemap: true,
    clean: true,
    treeshake: true,
    splitting: true,
    // `node:test`-like modules exist only with the prefix, and a reader sees at once what is Node's.
    removeNodeProtocol: false,
    // Constants of files that import nothing go straight into the code that uses them: V8 would load and check each.
    esbuildOptions: (options) => {
      options.minifySyntax = true;
    },
    ...overrides,
  });
}
