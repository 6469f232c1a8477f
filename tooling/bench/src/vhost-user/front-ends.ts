/** The two front-ends as child processes, each with a daemon of its own: a daemon serves one front-end. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Daemon, startVirtiofsd } from "@toril/vhost-user";
import type { Answer } from "./jobs.ts";

/** Where the two processes run: each on a processor of its own, or both on the first. */
export type Placement = "two processors" | "one processor";

export interface FrontEnd {
  run(job: string): Promise<Answer>;
  place(placement: Placement): void;
  stop(): Promise<void>;
}

export interface FrontEndOptions {
  /** The virtiofsd to start. */
  readonly command: string;
  readonly directory: string;
  /** Given the daemon's socket: the program and its arguments. */
  readonly program: (socket: string) => readonly [string, ...string[]];
}

const node = [
  "--conditions=@toril/source",
  "--import",
  fileURLToPath(new URL("../../../vitest/tsx-preload.js", import.meta.url)),
];

/** Ours, from the sources. */
export function ourProgram(name: string): FrontEndOptions["program"] {
  const script = fileURLToPath(new URL("front-end.ts", import.meta.url));
  return (socket) => [process.execPath, ...node, script, socket, name];
}

/** @throws DaemonError */
export async function startFrontEnd({ command, directory, program }: FrontEndOptions): Promise<FrontEnd> {
  const daemon = await startVirtiofsd({ directory, command, cache: "none" });
  const [file, ...args] = program(daemon.socketPath);
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  return new ChildFrontEnd(child, daemon);
}

class ChildFrontEnd implements FrontEnd {
  readonly #child: ChildProcess;
  readonly #daemon: Daemon;
  readonly #answers: ((line: string) => void)[] = [];
  readonly #failed: Promise<never>;

  constructor(child: ChildProcess, daemon: Daemon) {
    this.#child = child;
    this.#daemon = daemon;
    this.#failed = once(child, "exit").then(([code]) => {
      throw new Error(`a front-end ended with exit code ${String(code)}; its daemon said: ${daemon.said}`);
    });
    this.#failed.catch(() => {}); // whoever waits hears of it
    if (child.stdout !== null) createInterface(child.stdout).on("line", (line) => this.#answers.shift()?.(line));
  }

  async run(job: string): Promise<Answer> {
    const answer = new Promise<string>((resolve) => this.#answers.push(resolve));
    this.#child.stdin?.write(`${job}\n`);
    return JSON.parse(await Promise.race([answer, this.#failed])) as Answer;
  }

  /** Only the front-end's main thread is placed: V8's helpers run where there is room. */
  place(placement: Placement): void {
    const cpu = placement === "one processor" || cpus().length < 2 ? 0 : 1;
    taskset(["-p", "-c", "0", String(this.#child.pid)]);
    // A sandboxed daemon forks: the one that serves is in the same process group.
    for (const pid of groupOf(this.#daemon.pid)) taskset(["-a", "-p", "-c", String(cpu), String(pid)]);
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
    await this.#daemon.stop();
  }
}

function taskset(args: readonly string[]): void {
  try {
    execFileSync("taskset", args, { stdio: "ignore" });
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    // A process may end between being listed and being placed.
    if (missing) throw new Error("taskset is not installed: util-linux has it");
  }
}

/** The processes of a group, as /proc has them. */
function groupOf(leader: number): number[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.map(Number).filter((pid) => pid === leader || processGroup(pid) === leader);
}

/** -1 when it has just ended. */
function processGroup(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // After the name, which may hold anything: state, parent, group.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return -1;
  }
}
