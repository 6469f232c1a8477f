// The vitest set-up that every package shares. Tests run against the sources: nothing needs to be built first.
import { fileURLToPath } from "node:url";
import { defineConfig, mergeConfig } from "vitest/config";

const sourceCondition = "@toril/source";
const preload = fileURLToPath(new URL("./tsx-preload.js", import.meta.url));

/** @param {import("vitest/config").ViteUserConfig} overrides what one package needs to have different */
export function shared(overrides = {}) {
  return mergeConfig(
    defineConfig({
      ssr: {
        resolve: { conditions: [sourceCondition, "module", "node"], externalConditions: [sourceCondition, "node"] },
      },
      test: {
        include: ["src/**/*.test.ts"],
        passWithNoTests: true,
        // A property test that takes two seconds alone took more than vitest's five on a busy machine.
        testTimeout: 60_000,
        hookTimeout: 60_000,
        // Child processes, because workers that a test starts inherit execArgv: the TypeScript loader and the condition.
        pool: "forks",
        execArgv: [`--conditions=${sourceCondition}`, "--import", preload],
        // Each fork may itself start worker threads.
        maxWorkers: 2,
        reporters: ["default", "json"],
        // One report per Node major: tooling/checks adds up the runs.
        outputFile: { json: `.reports/vitest-node${process.versions.node.split(".")[0]}.json` },
      },
    }),
    overrides,
  );
}
