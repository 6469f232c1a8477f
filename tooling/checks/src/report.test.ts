import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { clearReports, failuresOf, reportFile, summarize, totalsOf } from "./report.js";

let root: string;
beforeEach(() => {
  root = `${mkdtempSync(join(tmpdir(), "toril-report-"))}/`;
});
afterEach(() => rmSync(root, { recursive: true }));

const report = (passed: number, failed: number, pending: number, todo = 0) => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
  testResults: [
    {
      name: "a.test.ts",
      status: failed > 0 ? "failed" : "passed",
      assertionResults: [
        { status: "passed", fullName: "holds" },
        ...Array.from({ length: failed }, () => ({
          status: "failed",
          fullName: "breaks",
          failureMessages: ["Error: why\n    at a.test.ts:1"],
        })),
      ],
    },
  ],
});

function addPackage(name: string, reports: Record<string, object>, scripts: object = { test: "vitest run" }): void {
  mkdirSync(`${root}${name}/.reports`, { recursive: true });
  writeFileSync(`${root}${name}/package.json`, JSON.stringify({ scripts }));
  for (const [run, content] of Object.entries(reports)) {
    writeFileSync(`${root}${name}/.reports/${reportFile(run)}`, JSON.stringify(content));
  }
}

it("adds up the packages and ends with the plain total", () => {
  addPackage("packages/a", { node20: report(3, 0, 1) });
  addPackage("tooling/b", { node20: report(2, 0, 0, 1) });
  addPackage("packages/without-tests", {}, { build: "x" });
  const { ok, total } = summarize(root, ["node20"]);
  expect(ok).toBe(true);
  expect(total).toBe("5 passed, 0 failed, 2 skipped");
});

it("adds up several runs", () => {
  addPackage("packages/a", { node20: report(3, 0, 0), node24: report(3, 1, 0) });
  const { ok, total } = summarize(root, ["node20", "node24"]);
  expect(ok).toBe(false);
  expect(total).toBe("6 passed, 1 failed, 0 skipped");
});

it("counts a test file that could not be loaded as a failure", () => {
  const file = { name: "b.test.ts", status: "failed", message: "no such module", assertionResults: [] };
  const broken = { ...report(0, 0, 0), testResults: [file] };
  expect(failuresOf(broken)).toEqual(["b.test.ts: no such module"]);
  expect(totalsOf(broken)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

it("names what failed, with the first line of why", () => {
  addPackage("packages/a", { node20: report(3, 1, 0) });
  expect(summarize(root, ["node20"]).failures).toEqual(["failed on node20: a.test.ts: breaks: Error: why"]);
});

it("does not take a missing report for success", () => {
  addPackage("packages/a", { node20: report(3, 0, 0) });
  addPackage("packages/crashed", {});
  expect(summarize(root, ["node20"]).ok).toBe(false);
});

it("clears only the reports of the run that is about to start", () => {
  addPackage("packages/a", { node20: report(1, 0, 0), node24: report(1, 0, 0) });
  clearReports(root, ["node20"]);
  expect(summarize(root, ["node24"]).ok).toBe(true);
  expect(summarize(root, ["node20"]).ok).toBe(false);
});
