import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const execute = promisify(execFile);
const script = (name: string): string => fileURLToPath(new URL(`../test/${name}.ts`, import.meta.url));
const preload = fileURLToPath(import.meta.resolve("@toril/tooling-vitest/tsx-preload"));
const node = ["--conditions=@toril/source", "--import", preload];

describe("what is left", () => {
  it("after machines have lived, failed and died: no thread, descriptor, socket or timer, and the process ends", async () => {
    const { stdout } = await execute(process.execPath, [...node, script("lives")], { timeout: 120_000 });
    const { before, after } = JSON.parse(stdout);
    expect(after.resources).toEqual([]);
    expect(after).toEqual(before);
  }, 120_000);
});
