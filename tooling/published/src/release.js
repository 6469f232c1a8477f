// A release that publishes nothing: in a clone of HEAD, the changesets become versions and changelogs, everything is built,
// and pnpm says what it would publish. Your own working tree stays as it is.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./run.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const clone = mkdtempSync(join(tmpdir(), "toril-release-"));

/** @type {[string, string[]][]} */
const steps = [
  ["clone", ["git", "clone", "--quiet", "--depth", "1", `file://${root}`, "."]],
  ["install", ["pnpm", "install", "--frozen-lockfile", "--prefer-offline"]],
  ["version", ["pnpm", "exec", "changeset", "version"]],
  ["build", ["pnpm", "build"]],
  ["publish", ["pnpm", "--recursive", "publish", "--dry-run", "--no-git-checks", "--access", "public"]],
];
try {
  for (const [name, command] of steps) {
    console.log(`${name}: ${command.join(" ")}`);
    run(command, clone);
  }
  const versions = run(["git", "diff", "--name-only"], clone)
    .split("\n")
    .filter((file) => /^packages\/[^/]+\/package\.json$/.test(file));
  if (versions.length === 0) console.log("no changeset: nothing would be released");
  for (const file of versions) {
    const { name, version } = JSON.parse(readFileSync(join(clone, file), "utf8"));
    const changelog = readFileSync(join(clone, file, "../CHANGELOG.md"), "utf8");
    if (!changelog.includes(`## ${version}`)) throw new Error(`${name}: its CHANGELOG has no entry for ${version}`);
    console.log(`would publish ${name} ${version}`);
  }
} finally {
  rmSync(clone, { recursive: true });
}
