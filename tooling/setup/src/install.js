import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { environment, npmExecPnpm } from "./processes.js";

const MINIMUM_NODE = { major: 20, minor: 19 };

/** Ends the process with one clear line when this Node is too old. */
export function checkNode(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const needed = MINIMUM_NODE;
  if (major > needed.major || (major === needed.major && minor >= needed.minor)) return;
  fail(`Node ${version} is too old: Toril needs Node ${needed.major}.${needed.minor} or newer`);
}

/**
 * Runs `pnpm install` when node_modules was not made from the lockfile that is here now. The stamp is written last, so
 * that an install that was interrupted is done again.
 * @param {string} root with a slash at its end
 */
export function install(root) {
  const stampFile = `${root}node_modules/.toril-setup`;
  const wanted = fingerprint(root);
  if (readIfPresent(stampFile) === wanted) return;

  console.error("toril setup: installing the dependencies (once per change of the lockfile)");
  // On a terminal pnpm draws its progress; in a pipe it would only be noise, unless it fails. Never on stdout: that
  // belongs to the target.
  const terminal = process.stderr.isTTY === true;
  const [command = "", ...args] = [...npmExecPnpm(root), "install", "--frozen-lockfile"];
  const result = spawnSync(command, args, {
    cwd: root,
    env: environment(),
    encoding: "utf8",
    stdio: terminal ? ["ignore", 2, 2] : ["ignore", "pipe", "pipe"],
  });
  if (result.status !== 0) {
    fail(`installing the dependencies failed: ${result.error?.message ?? reason(result)}`);
  }
  mkdirSync(`${root}node_modules`, { recursive: true });
  writeFileSync(stampFile, wanted);
}

/** @param {string} root */
function fingerprint(root) {
  const hash = createHash("sha256");
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml"]) hash.update(readFileSync(`${root}${file}`));
  // A clone that was moved or copied has links that point nowhere.
  return hash.update(root).digest("hex");
}

/** @param {string} path */
function readIfPresent(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The line of pnpm's or npm's output that says why. @param {import("node:child_process").SpawnSyncReturns<string>} result */
function reason(result) {
  const lines = `${result.stdout ?? ""}\n${result.stderr ?? ""}`.split("\n").map((line) => line.trim());
  const telling =
    lines.find((line) => /ERR_|npm error|\bE[A-Z]{5,}\b/.test(line)) ?? lines.findLast((line) => line !== "");
  return telling ?? (result.signal === null ? `exit code ${result.status}, see above` : `ended by ${result.signal}`);
}

/** @param {string} message */
function fail(message) {
  console.error(`toril setup: ${message}`);
  process.exit(1);
}
