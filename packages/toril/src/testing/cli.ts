/** The real command line as a child process, from the sources, as a user starts it. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { MachineStats, StatGroup } from "@toril/machine";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A started command. `process.execArgv` of a test holds the TypeScript loader and the source condition. */
export class Cli {
  readonly process: ChildProcess;
  readonly ended: Promise<Ending>;
  stdout = "";
  stderr = "";
  readonly #watchers = new Set<() => void>();

  constructor(args: readonly string[], options: SpawnOptions = {}) {
    this.process = spawn(process.execPath, [...process.execArgv, MAIN, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    const gather = (stream: "stdout" | "stderr"): void => {
      this.process[stream]?.setEncoding("utf8").on("data", (text: string) => {
        this[stream] += text;
        for (const look of this.#watchers) look();
      });
    };
    gather("stdout");
    gather("stderr");
    this.ended = new Promise((resolve) => {
      this.process.on("close", (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** The first match in what it has printed so far, or will print. Rejects when it ends before that. */
  async printed(stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray> {
    let stopWatching: () => void = () => {};
    const seen = new Promise<RegExpExecArray>((resolve) => {
      const look = (): void => {
        const match = pattern.exec(this[stream]);
        if (match !== null) resolve(match);
      };
      this.#watchers.add(look);
      stopWatching = () => this.#watchers.delete(look);
      look();
    });
    const early = this.ended.then(({ code, stderr }) => {
      throw new Error(`the command ended with ${code} before it printed ${pattern}: ${stderr}`);
    });
    early.catch(() => {});
    return Promise.race([seen, early]).finally(() => stopWatching());
  }

  signal(name: NodeJS.Signals): Promise<Ending> {
    this.process.kill(name);
    return this.ended;
  }
}

/** Runs a command to its end. */
export function toril(args: readonly string[], options?: SpawnOptions): Promise<Ending> {
  return new Cli(args, options).ended;
}

export interface Served {
  readonly port: number;
  readonly cli: Cli;
  /** SIGINT, and what `--stats --json` said at the end. Throws unless that was one document and the exit code 0. */
  stop(): Promise<MachineStats>;
}

/** `toril serve DIR --port 0 --stats --json …`, once it serves. */
export async function serve(directory: string, ...flags: string[]): Promise<Served> {
  const cli = new Cli(["serve", directory, "--port", "0", "--stats", "--json", ...flags]);
  const [, port] = await cli.printed("stderr", /serving at http:\/\/127\.0\.0\.1:(\d+)\//);
  return {
    port: Number(port),
    cli,
    async stop() {
      const { code, signal, stdout, stderr } = await cli.signal("SIGINT");
      if (code !== 0) throw new Error(`exit code ${code}, signal ${signal}: ${stderr}`);
      if (/^\s+at /m.test(stderr)) throw new Error(`a stack: ${stderr}`);
      return (JSON.parse(stdout) as { stats: MachineStats }).stats;
    },
  };
}

/** A counter of a machine's, by part and name. */
export function counter(stats: MachineStats, part: string, ...names: string[]): number {
  let found: StatGroup | number | string | undefined = stats.parts[part];
  for (const name of names) found = typeof found === "object" ? found[name] : undefined;
  if (typeof found !== "number") throw new Error(`no counter ${part}: ${names.join(": ")}`);
  return found;
}
