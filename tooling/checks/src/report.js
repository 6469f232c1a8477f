// Adds up the JSON reports that vitest leaves in each package's .reports directory. Each Node major writes its own
// (see tooling/vitest), so that runs on several versions add up instead of overwriting each other.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";

/** @typedef {{ passed: number, failed: number, skipped: number }} Totals */
/** @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number, testResults: { name: string, status: string, message?: string, assertionResults: { status: string, fullName: string, failureMessages?: string[] }[] }[] }} VitestReport */

const PACKAGE_FOLDERS = ["packages", "apps", "tooling"];
const currentRun = `node${process.versions.node.split(".")[0]}`;

/** @param {string} run such as "node20" */
export const reportFile = (run) => `vitest-${run}.json`;

/**
 * @param {VitestReport} report
 * @returns {Totals}
 */
export function totalsOf(report) {
  // A file that could not be loaded holds no tests; it must not look like success.
  const brokenFiles = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * The names of what failed, each with the first line of why: what a reader of a long log looks for.
 * @param {VitestReport} report
 */
export function failuresOf(report) {
  return report.testResults.flatMap((file) => {
    const failed = file.assertionResults.filter(({ status }) => status === "failed");
    if (file.status === "failed" && file.assertionResults.length === 0)
      return [`${file.name}: ${firstLine(file.message)}`];
    return failed.map((one) => `${file.name}: ${one.fullName}: ${firstLine(one.failureMessages?.[0])}`);
  });
}

const firstLine = (text = "no message") => text.split("\n", 1)[0];

/** @param {Totals} totals */
const line = ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed, ${skipped} skipped`;

/** @param {string} root with a slash at its end; removes this Node's reports, so that none is counted twice */
export function clearReports(root, runs = [currentRun]) {
  for (const name of testedPackages(root)) {
    for (const run of runs) rmSync(`${root}${name}/.reports/${reportFile(run)}`, { force: true });
  }
}

/**
 * @param {string} root with a slash at its end
 * @returns a line per package, a line per failure, the plain total, and whether every package reported and none failed
 */
export function summarize(root, runs = [currentRun]) {
  const details = [];
  const failures = [];
  const sum = { passed: 0, failed: 0, skipped: 0 };
  let complete = true;
  for (const run of runs) {
    for (const name of testedPackages(root)) {
      const report = readReport(`${root}${name}/.reports/${reportFile(run)}`);
      const totals = report && totalsOf(report);
      if (report !== undefined) failures.push(...failuresOf(report).map((text) => `failed on ${run}: ${text}`));
      details.push(
        `${run} ${name}: ${totals === undefined ? "no report: vitest did not get to its end" : line(totals)}`,
      );
      complete &&= totals !== undefined;
      sum.passed += totals?.passed ?? 0;
      sum.failed += totals?.failed ?? 0;
      sum.skipped += totals?.skipped ?? 0;
    }
  }
  return { details, failures, total: line(sum), ok: complete && sum.failed === 0 };
}

/**
 * @param {string} path
 * @returns {VitestReport | undefined}
 */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** The packages that have a `test` script, as paths from the root. @param {string} root */
function testedPackages(root) {
  return PACKAGE_FOLDERS.filter((folder) => existsSync(root + folder))
    .flatMap((folder) => readdirSync(root + folder).map((name) => `${folder}/${name}`))
    .filter((name) => {
      const manifest = `${root}${name}/package.json`;
      return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).scripts?.test !== undefined;
    })
    .sort();
}
