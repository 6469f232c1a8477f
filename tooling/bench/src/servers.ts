/** The servers under test, each a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface RunningServer {
  readonly name: string;
  readonly url: string;
  stop(): Promise<void>;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const node = ["--conditions=@toril/source", "--import", here("../../vitest/tsx-preload.js")];

/** Started with the sources, as `npm start` does. */
export function startToril(name: string, directory: string, flags: readonly string[]): Promise<RunningServer> {
  return start(name, [
    here("../../../packages/toril/src/main.ts"),
    "serve",
    directory,
    "--port",
    "0",
    "--json",
    ...flags,
  ]);
}

export function startPeer(name: string, script: string, directory: string): Promise<RunningServer> {
  return start(name, [here(`peers/${script}`), directory]);
}

async function start(name: string, args: readonly string[]): Promise<RunningServer> {
  const child = spawn(process.execPath, [...node, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await firstUrl(name, child);
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  return { name, url, stop };
}

async function firstUrl(name: string, child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error(`${name} has no output`);
  let text = "";
  for await (const line of createInterface(child.stdout)) {
    text += line;
    const url = /"url":\s*"([^"]+)"/.exec(text)?.[1];
    if (url !== undefined) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error(`${name} ended before it told its address`);
}
