/** What a machine is, whichever kind it is: it boots one program, forwards ports to it, tells its counters, and stops. */
import type { Log } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import type { TxPath } from "@toril/vsock";
import type { MachineStats } from "./stats.ts";
import type { Main } from "./sys.ts";

export type MachineKind = "inline" | "dedicated";

/** The directory that the guest sees as its root. */
export interface DirectoryOptions {
  readonly path: string;
  /** Read-only unless this says otherwise. */
  readonly access?: "read-only" | "writable";
  /** How long the guest may believe what it has cached; `auto` (a second) unless told. */
  readonly cache?: CacheMode;
  /** Guest memory for cached file bytes; a quarter of the core's memory unless told. */
  readonly cacheBytes?: number;
}

export interface MachineOptions {
  readonly kind: MachineKind;
  /** Guest memory in bytes, split evenly between the cores; 64 MiB per core unless told. */
  readonly memory?: number;
  /** Cores; more than one needs the dedicated machine. */
  readonly cores?: number;
  /** The guest's context id; 3 unless told. */
  readonly cid?: number;
  /** Without one the guest has no file system: its file calls end with ENODEV. */
  readonly directory?: DirectoryOptions;
  /** How the vsock driver sends; `zero-copy` unless told. */
  readonly txPath?: TxPath;
  /** Flags of Node for the threads of the dedicated machine; those of the process unless told. */
  readonly execArgv?: readonly string[];
  readonly log?: Log;
}

/** A program to boot. Threads get at a module only by its URL; the inline machine also takes a function. */
export type Program =
  | { readonly main: Main; readonly args?: unknown }
  | { readonly module: URL; readonly export?: string; readonly args?: unknown };

/** How a program ended. */
export type ProgramExit =
  | { readonly kind: "returned"; readonly code: number }
  | { readonly kind: "failed"; readonly error: Error };

export interface RunningProgram {
  /** Settles when the program calls `sys.ready()`, or ends before that. */
  readonly ready: Promise<"ready" | "ended">;
  /** Settles when the program has ended; never rejects. */
  readonly ended: Promise<ProgramExit>;
}

/** A TCP port of the host that leads to a port of the guest. */
export interface ForwardOptions {
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly guestPort: number;
  /** Connections at one time; further ones wait in the host's backlog. 1,024 unless told. */
  readonly maxConnections?: number;
}

export interface Forward {
  readonly host: string;
  readonly port: number;
  readonly guestPort: number;
  /** Takes no more connections; those that are open go on. */
  close(): Promise<void>;
}

export interface Machine {
  readonly kind: MachineKind;
  /** One line per core and device: memory, what is dedicated where. For a boot log. */
  readonly description: readonly string[];
  /** Boots a program on core 0. Once per machine. */
  start(program: Program): Promise<RunningProgram>;
  /** @throws SystemError EADDRINUSE, EACCES … of the host's listen */
  forward(options: ForwardOptions): Promise<Forward>;
  stats(): Promise<MachineStats>;
  /**
   * Asks the program to stop, waits for it up to `graceMs`, then ends it, and lets go of everything: memory, threads,
   * sockets, descriptors.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
}
