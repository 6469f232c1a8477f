// What `npm start`, `npm test` and `npm run toril` go through: the one place that has to work on a fresh clone, with
// nothing but Node and npm. Installs the workspace when that is due, then runs the target. No dependencies here.
//
// package.json says `exec node …`: without it dash stays between npm and us, and dies of a SIGTERM to npm without handing
// it on, which leaves a server running that nobody owns.
//
//   node tooling/setup/src/run.js start ARGS...    builds the project's site, then `toril serve ARGS`
//   node tooling/setup/src/run.js toril ARGS...    the command line, from the sources
//   node tooling/setup/src/run.js test             every check: see tooling/checks
//   node tooling/setup/src/run.js pnpm ARGS...     the pinned pnpm
import { spawnSync } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { checkNode, install } from "./install.js";
import { npmExecPnpm, relay } from "./processes.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const [task, ...args] = process.argv.slice(2);

checkNode();
install(root);

switch (task) {
  case "start":
    buildSite();
    toril("serve", ...args);
    break;
  case "toril":
    toril(...args);
    break;
  case "test":
    // turbo looks for a pnpm on PATH; running under `npm exec` puts the pinned one there.
    relay([...npmExecPnpm(root), "exec", "node", "tooling/checks/src/all.js", ...args], root);
    break;
  case "pnpm":
    relay([...npmExecPnpm(root), ...args], root);
    break;
  default:
    console.error(`toril setup: unknown task "${task ?? ""}"; use start, toril, test or pnpm`);
    process.exitCode = 2;
}

/** The command line, from the sources. @param {string[]} args */
function toril(...args) {
  const preload = pathToFileURL(`${root}tooling/vitest/tsx-preload.js`).href;
  const main = `${root}packages/toril/src/main.ts`;
  const command = [process.execPath, "--conditions=@toril/source", "--import", preload, main, ...args];
  // npm changes to the root of the project; a relative DIR means the directory where the user typed it.
  relay(command, process.env.INIT_CWD ?? process.cwd());
}

/** A third of a second: cheaper than finding out whether some document is newer. */
function buildSite() {
  const site = ["--import", "tsx", "src/main.ts"];
  const result = spawnSync(process.execPath, site, { cwd: `${root}tooling/site`, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) console.error("toril setup: the project's own site could not be built; see above");
}
