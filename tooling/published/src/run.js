import { spawnSync } from "node:child_process";
import { environment } from "@toril/tooling-setup/processes";

/** A command that ended badly, with all that it said. */
export class CommandFailed extends Error {}

/**
 * Runs a command to its end.
 * @param {string[]} command
 * @param {string} cwd
 * @returns what it printed on stdout
 * @throws {CommandFailed} when it cannot be run, fails, or takes longer than two minutes
 */
export function run([file = "", ...args], cwd) {
  const options = {
    cwd,
    encoding: /** @type {const} */ ("utf8"),
    timeout: 120_000,
    env: environment(),
    maxBuffer: 2 ** 26,
  };
  const { status, signal, stdout, stderr, error } = spawnSync(file, args, options);
  if (status === 0) return stdout;
  const end = error?.message ?? (signal === null ? `exit code ${status}` : signal);
  throw new CommandFailed(`${[file, ...args].join(" ")}: ${end}\n${stdout ?? ""}${stderr ?? ""}`);
}
