/** The servers under test, each a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface RunningServer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Ends it; what it has printed since it told its address. */
  stop(): Promise<string>;
}

/** `dist`: as packed, what users install. `source`: as `npm start` runs it. */
export type Form = "dist" | "source";

export interface TorilOptions {
  readonly flags?: readonly string[];
  readonly form?: Form;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const main = {
  dist: here("../../../packages/toril/dist/main.js"),
  source: here("../../../packages/toril/src/main.ts"),
};
const fromSource = ["--conditions=@toril/source", "--import", here("../../vitest/tsx-preload.js")];

/** The command line of `toril …`. @throws Error when that form is not there */
export function torilCommand(form: Form): string[] {
  if (form === "source") return [...fromSource, main.source];
  if (existsSync(main.dist)) return [main.dist];
  throw new Error("packages/toril is not built: run pnpm build, or take --form source");
}

export function startToril(name: string, directory: string, options: TorilOptions = {}): Promise<RunningServer> {
  const { flags = [], form = "dist" } = options;
  return startNode(name, [...torilCommand(form), "serve", directory, "--port", "0", "--json", ...flags]);
}

export function startPeer(name: string, script: string, directory: string): Promise<RunningServer> {
  return startNode(name, [...fromSource, here(`peers/${script}`), directory]);
}

function startNode(name: string, args: readonly string[]): Promise<RunningServer> {
  return tellsItsUrl(name, spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] }));
}

/** A child that prints its URL, on stdout or (`toril serve --json --stats`, whose stdout is for the end) on stderr. */
async function tellsItsUrl(name: string, child: ChildProcess): Promise<RunningServer> {
  const { stdout, stderr, pid } = child;
  if (stdout === null || stderr === null || pid === undefined) throw new Error(`${name} could not be started`);
  let text = "";
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [stdout, stderr]) {
      createInterface(stream).on("line", (line) => {
        const found = /\bhttp:\/\/[^\s"]+/.exec(line)?.[0];
        if (found !== undefined) resolve(found);
        if (stream === stdout) text += `${line}\n`;
        else if (found === undefined && !/SIGTERM/.test(line)) process.stderr.write(`${name}: ${line}\n`);
      });
    }
    child.once("exit", (code) => reject(new Error(`${name} ended (${code}) before it told its address`)));
  });
  const before = text.length;
  const stop = async (): Promise<string> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "close");
    }
    return text.slice(before);
  };
  return { name, url, pid, stop };
}
