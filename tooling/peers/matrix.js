#!/usr/bin/env node
// Writes docs/interop.md from the reports of the last test runs of @toril/vhost-user: which peer, in which version, on
// which Node, with what outcome. It adds nothing that a test did not say. With --check it only says whether the file is
// what it would write.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const reports = new URL("packages/vhost-user/.reports/", root);
const target = new URL("docs/interop.md", root);

/** @typedef {{ ancestorTitles: string[], title: string, status: string, meta?: { peerLimit?: string } }} Result */

/** Results of tests against peers, per Node. @type {Map<string, Result[]>} */
const runs = new Map();
for (const name of readdirSync(reports).sort()) {
  const node = /^vitest-node(\d+)\.json$/.exec(name)?.[1];
  if (node === undefined) continue;
  const report = JSON.parse(readFileSync(new URL(name, reports), "utf8"));
  const results = report.testResults
    .filter((file) => file.name.includes("/interop/"))
    .flatMap((file) => file.assertionResults)
    .filter(({ ancestorTitles }) => ancestorTitles.length > 0);
  if (results.length > 0) runs.set(node, results);
}
if (runs.size === 0) {
  console.error("no reports of packages/vhost-user: run its tests first");
  process.exit(1);
}

const groupOf = (result) => result.ancestorTitles[0].replaceAll("'", "");
const nodes = [...runs.keys()];
const groups = [...new Set([...runs.values()].flat().map(groupOf))];

function outcome(node, group) {
  const results = runs.get(node).filter((result) => groupOf(result) === group);
  const passed = results.filter(({ status }) => status === "passed").length;
  const failed = results.filter(({ status }) => status === "failed").length;
  if (passed === 0 && failed === 0) return "not run";
  return failed > 0 ? `**${failed} failed**, ${passed} of ${results.length}` : `${passed} of ${results.length}`;
}

const table = [
  ["what", ...nodes.map((node) => `Node ${node}`)],
  ["---", ...nodes.map(() => "---")],
  ...groups.map((group) => [group, ...nodes.map((node) => outcome(node, group))]),
];

/** Each suite's cases once: several groups run the same. */
const suites = new Map();
for (const group of groups) {
  const cases = [
    ...new Set(
      [...runs.values()]
        .flat()
        .filter((r) => groupOf(r) === group)
        .map(({ title }) => title),
    ),
  ];
  const key = cases.join("\n");
  suites.set(key, { cases, groups: [...(suites.get(key)?.groups ?? []), group] });
}

const limits = [...runs.values()].flat().filter(({ meta }) => meta?.peerLimit !== undefined);
const limitLines = [
  ...new Set(limits.map((result) => `- ${groupOf(result)}: ${result.meta.peerLimit} (test "${result.title}").`)),
];

const text = `# Interop

Our drivers over vhost-user against devices that others wrote, and against our own for comparison. This page is written by
\`tooling/peers/matrix.js\` from the reports of a test run; \`tooling/peers/install\` builds the peers that Debian does not have.

${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

## What the peers do not do

${limitLines.length === 0 ? "Nothing that the tests ask for." : limitLines.join("\n")}

## The cases

${[...suites.values()]
  .map(
    ({ cases, groups: who }) =>
      `${who.map((group) => `**${group}**`).join(", ")}:\n\n${cases.map((one) => `- ${one}`).join("\n")}`,
  )
  .join("\n\n")}
`;

if (process.argv.includes("--check")) {
  let old = "";
  try {
    old = readFileSync(target, "utf8");
  } catch {
    // There is none yet.
  }
  if (old !== text) {
    console.error("docs/interop.md is not what the last test run says: run tooling/peers/matrix.js");
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
  console.log(`${fileURLToPath(target)}: ${groups.length} rows, Node ${nodes.join(" and ")}`);
}
