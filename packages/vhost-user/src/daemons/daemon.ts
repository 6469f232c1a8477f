/**
 * A device daemon of somebody else's as a child process: started so that its socket is known to be its own, watched, and
 * stopped without leaving anything behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Log, silentLog } from "@toril/virtio/platform";

/** A daemon that is not installed, did not come up, or died. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
}

export interface DaemonOptions {
  /** How it is called in messages. */
  readonly name: string;
  readonly command: string;
  /** Its arguments, once its folder is known: sockets belong there. */
  readonly flags: (folder: string) => readonly string[];
  /** The socket that it serves, a name in its folder. */
  readonly socket: string;
  readonly log?: Log;
  /** Milliseconds until its socket must be there; 10,000 unless told. */
  readonly startTimeoutMs?: number;
}

export interface Daemon {
  readonly pid: number;
  /** A folder of its own, readable by this user only, removed when it is stopped. */
  readonly folder: string;
  readonly socketPath: string;
  /** Whether it is running. */
  readonly running: boolean;
  /** The last it said on its standard error. */
  readonly said: string;
  /** Settles with how it ended: `exit code 0`, `SIGKILL`. */
  readonly ended: Promise<string>;
  /** Sends a signal to it and to all that it has forked. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it: first politely. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 10_000;
/** A daemon that saw its socket closed ends by itself; one that does not gets a signal, then another. */
const POLITE_MS = 500;
const POLL_MS = 5;
/** Characters of its standard error that are kept. */
const MAX_SAID = 4096;

/** @throws DaemonError when it cannot be started or does not serve its socket in time */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  // A new folder: no socket file of an earlier daemon can be taken for this one's.
  const folder = mkdtempSync(join(tmpdir(), "toril-daemon-"));
  // A process group of its own: daemons fork into sandboxes, and a terminal's Ctrl-C is ours to hand on.
  const flags = [...options.flags(folder)];
  const child = spawn(options.command, flags, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  const daemon = new ChildDaemon(child, folder, join(folder, options.socket), options);
  try {
    await daemon.started(options.startTimeoutMs ?? START_TIMEOUT_MS);
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

class ChildDaemon implements Daemon {
  readonly folder: string;
  readonly socketPath: string;
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #killAtExit = (): void => this.signal("SIGKILL");
  #outcome: string | undefined;
  #said = "";
  #stopping: Promise<void> | undefined;

  constructor(child: ChildProcess, folder: string, socketPath: string, { name, log = silentLog }: DaemonOptions) {
    this.folder = folder;
    this.socketPath = socketPath;
    this.#child = child;
    this.#name = name;
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-MAX_SAID);
      log.debug("a daemon says", { daemon: name, text: text.trimEnd() });
    });
    // No daemon outlives us, also when nobody could wait for it.
    process.once("exit", this.#killAtExit);
    this.ended = new Promise((resolve) => {
      const end = (outcome: string): void => {
        this.#outcome = outcome;
        process.off("exit", this.#killAtExit);
        log.debug("a daemon ended", { daemon: name, outcome });
        resolve(outcome);
      };
      child.once("error", (error) => end(error.message));
      child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get running(): boolean {
    return this.#outcome === undefined;
  }

  get said(): string {
    return this.#said;
  }

  async started(timeoutMs: number): Promise<void> {
    for (const deadline = performance.now() + timeoutMs; !isServed(this.socketPath); await sleep(POLL_MS)) {
      if (this.#outcome !== undefined) throw this.#error(`ended before it served its socket: ${this.#outcome}`);
      if (performance.now() > deadline) throw this.#error(`did not serve its socket within ${timeoutMs} ms`);
    }
  }

  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#outcome !== undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended a moment ago, and nobody has told us yet.
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const signal of [undefined, "SIGTERM", "SIGKILL"] as const) {
      if (signal !== undefined) this.signal(signal);
      if (await this.#endsWithin(signal === undefined ? POLITE_MS / 5 : POLITE_MS)) break;
    }
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #endsWithin(milliseconds: number): Promise<boolean> {
    const timeout = new AbortController();
    const late = sleep(milliseconds, "late", { signal: timeout.signal }).catch(() => "late");
    const first = await Promise.race([this.ended.then(() => "ended"), late]);
    timeout.abort();
    return first === "ended";
  }

  #error(what: string): DaemonError {
    const said = this.#said.trim();
    return new DaemonError(`${this.#name} ${what}${said === "" ? "" : `; it said: ${said}`}`);
  }
}

/** /proc/net/unix: the flag of a socket that listens. */
const LISTENS = "00010000";

/** Whether a socket is there, and not only bound: between `bind` and `listen` it would refuse who connects. */
function isServed(path: string): boolean {
  if (!existsSync(path)) return false;
  let sockets: string;
  try {
    sockets = readFileSync("/proc/net/unix", "latin1");
  } catch {
    return true; // whoever connects finds out
  }
  const entry = sockets.split("\n").find((line) => line.endsWith(` ${path}`));
  return entry === undefined || entry.split(/\s+/)[3] === LISTENS;
}
