import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.js";

/**
 * Uses the installed command as a user does: a program that prints, and a directory that is served.
 * @param {string} project where the package "toril" is installed
 * @returns {Promise<void>}
 * @throws {Error} when something is not as it should be
 */
export async function tryCommand(project) {
  const version = run(["npx", "--no-install", "toril", "--version"], project).trim();
  if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`toril --version printed "${version}"`);

  // TypeScript with types to erase, below a folder with a blank in its name.
  const folder = join(project, "my appliance");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "main.ts"),
    'export async function main(sys: object): Promise<void> { console.log("ran", typeof sys); }\n',
  );
  const printed = run(["npx", "--no-install", "toril", "run", join(folder, "main.ts")], project);
  if (!printed.includes("ran object")) throw new Error(`toril run printed "${printed}"`);

  await serves(project, folder);
}

/**
 * @param {string} project
 * @param {string} folder what to serve
 */
async function serves(project, folder) {
  const page = "served by an installed toril\n";
  writeFileSync(join(folder, "page.txt"), page);
  const bin = join(project, "node_modules", ".bin", "toril");
  const server = spawn(bin, ["serve", folder, "--port", "0"], { cwd: project, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => server.once("exit", resolve));
  try {
    /** @type {Promise<string>} */
    const announced = new Promise((resolve) => {
      for (const stream of [server.stdout, server.stderr]) {
        stream.on("data", (chunk) => {
          said += chunk;
          const address = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
          if (address !== undefined) resolve(address);
        });
      }
    });
    const address = await Promise.race([announced, ended]);
    if (typeof address !== "string") throw new Error(`toril serve ended with ${address}: ${said}`);
    const answer = await (await fetch(`${address}/page.txt`)).text();
    if (answer !== page) throw new Error(`toril serve answered "${answer}"`);
    server.kill("SIGINT");
    const code = await ended;
    if (code !== 0) throw new Error(`toril serve ended with ${code} after SIGINT: ${said}`);
  } finally {
    server.kill("SIGKILL");
  }
}
