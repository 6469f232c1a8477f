import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { basename } from "node:path";

/**
 * The command that runs the pnpm that package.json names, through `npm exec`: no pnpm and no corepack needed.
 * @param {string} root with a slash at its end
 * @returns {string[]}
 */
export function npmExecPnpm(root) {
  const { packageManager } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const npmScript = process.env.npm_execpath ?? "";
  // Under pnpm or yarn npm_execpath is theirs.
  const npm = basename(npmScript) === "npm-cli.js" ? [process.execPath, npmScript] : ["npm"];
  // The log level is set because npm hands its own down: under `npm run -s` an error would have no text.
  return [
    ...npm,
    "exec",
    "--yes",
    "--loglevel=error",
    "--no-update-notifier",
    `--package=${packageManager}`,
    "--",
    "pnpm",
  ];
}

/**
 * The environment for the commands we start. npm hands its own options down as variables; those of an outer
 * `npx -p node@24 -c "npm test"` would become options of our `npm exec`, which cannot have both.
 */
export function environment() {
  const { npm_config_call, npm_config_package, ...rest } = process.env;
  return rest;
}

/**
 * Runs the command on our stdin, stdout and stderr, hands signals on, and ends as the command ended.
 * @param {string[]} command
 * @param {string} cwd
 */
export function relay([file = "", ...args], cwd) {
  const child = spawn(file, args, { cwd, env: environment(), stdio: "inherit" });
  const handOn = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal);
  process.on("SIGTERM", handOn);
  process.on("SIGHUP", handOn);
  // Ctrl-C reaches the child from the terminal itself; handed on, it would count twice and cut a clean shutdown short.
  const interactive = process.stdin.isTTY === true;
  process.on("SIGINT", interactive ? () => {} : handOn);

  child.on("error", (error) => {
    console.error(`toril setup: cannot run ${file}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
  });
}
