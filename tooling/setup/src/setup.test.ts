import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const here = fileURLToPath(new URL("./", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = `${mkdtempSync(join(tmpdir(), "toril-setup-"))}/`;
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a module that imports ours, in a process of its own: these functions end the process they run in. */
function start(
  code: string,
  env: NodeJS.ProcessEnv = {},
): ChildProcess & { text: () => { stdout: string; stderr: string } } {
  const file = `${folder}script.mjs`;
  writeFileSync(file, code);
  const child = spawn(process.execPath, [file], { env: { ...process.env, ...env }, stdio: "pipe" });
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (text.stdout += chunk));
  child.stderr.on("data", (chunk) => (text.stderr += chunk));
  return Object.assign(child, { text: () => text });
}

const from = (module: string): string => JSON.stringify(pathToFileURL(here + module).href);

describe("checkNode", () => {
  it.each(["20.19.0", "20.20.2", "22.0.0", "24.21.0"])("accepts %s", async (version) => {
    const child = start(`import { checkNode } from ${from("install.js")}; checkNode("${version}");`);
    expect(await once(child, "close")).toEqual([0, null]);
  });

  it.each(["18.20.1", "20.18.3"])("refuses %s in one line", async (version) => {
    const child = start(`import { checkNode } from ${from("install.js")}; checkNode("${version}");`);
    expect(await once(child, "close")).toEqual([1, null]);
    expect(child.text().stderr).toBe(`toril setup: Node ${version} is too old: Toril needs Node 20.19 or newer\n`);
  });
});

describe("install", () => {
  // Stands for npm: its name is what npmExecPnpm looks for.
  function fakeNpm(code: string): NodeJS.ProcessEnv {
    writeFileSync(`${folder}npm-cli.js`, code);
    writeFileSync(`${folder}package.json`, JSON.stringify({ packageManager: "pnpm@1.2.3" }));
    for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml"]) writeFileSync(folder + file, "");
    return { npm_execpath: `${folder}npm-cli.js` };
  }
  const install = `import { install } from ${from("install.js")}; install(process.argv[1].replace("script.mjs", ""));`;

  it("runs the pinned pnpm once, and is quiet when nothing has changed", async () => {
    const env = fakeNpm(
      'require("node:fs").appendFileSync(__dirname + "/calls", process.argv.slice(2).join(" ") + "\\n");',
    );
    for (const expected of [/installing the dependencies/, /^$/]) {
      const child = start(install, env);
      expect(await once(child, "close")).toEqual([0, null]);
      expect(child.text().stdout).toBe("");
      expect(child.text().stderr).toMatch(expected);
    }
  });

  it("says in one line why it failed, and tries again next time", async () => {
    const env = fakeNpm('console.error("noise\\nnpm error code ENOTFOUND\\nmore"); process.exit(3);');
    for (let attempt = 0; attempt < 2; attempt++) {
      const child = start(install, env);
      expect(await once(child, "close")).toEqual([1, null]);
      expect(child.text().stderr.trim().split("\n").at(-1)).toBe(
        "toril setup: installing the dependencies failed: npm error code ENOTFOUND",
      );
    }
  });
});

it("does not hand the options of an outer npx to our npm", async () => {
  const env = { npm_config_call: "npm test", npm_config_package: "node@24", npm_config_registry: "kept" };
  const child = start(
    `import { environment } from ${from("processes.js")};
    const { npm_config_call, npm_config_package, npm_config_registry } = environment();
    console.log(npm_config_call, npm_config_package, npm_config_registry);`,
    env,
  );
  await once(child, "close");
  expect(child.text().stdout).toBe("undefined undefined kept\n");
});

describe("relay", () => {
  const relay = (code: string): string =>
    `import { relay } from ${from("processes.js")}; relay([process.execPath, "-e", ${JSON.stringify(code)}], ".");`;

  it("ends with the exit code of the command", async () => {
    expect(await once(start(relay("process.exit(7)")), "close")).toEqual([7, null]);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("hands %s on and waits for the clean end", async (signal) => {
    const child = start(
      relay(`process.on("${signal}", () => process.exit(5)); setInterval(() => {}, 1e3); console.log("up")`),
    );
    await once(child.stdout ?? child, "data");
    child.kill(signal);
    expect(await once(child, "close")).toEqual([5, null]);
  });

  it("reports a command that a signal ended as the shell does", async () => {
    expect(await once(start(relay('process.kill(process.pid, "SIGKILL")')), "close")).toEqual([137, null]);
  });
});
