/** What a machine is, whichever kind it is: it boots one program, forwards ports to it, tells its counters, and stops. */
import type { Log } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import type { TxPath } from "@toril/vsock";
import type { HostProgram } from "./host-program.ts";
import type { RecordOptions } from "./recording.ts";
import type { MachineStats } from "./stats.ts";
import type { Main } from "./sys.ts";
import type { MachineTuning } from "./tuning.ts";
import type { VhostUserOptions } from "./vhost-user/options.ts";

export type MachineKind = "inline" | "dedicated" | "vhost-user";

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
  /**
   * Modules that every thread imports before a program's: a loader for TypeScript, for one. Threads do not inherit what
   * the process registered.
   */
  readonly preload?: readonly URL[];
  /** Only of the vhost-user machine, which needs it: where its devices are. */
  readonly vhostUser?: VhostUserOptions;
  /**
   * Bytes of JavaScript heap of each thread of the dedicated machine; the engine's own limit unless told. A core whose
   * program needs more dies, and nothing else does.
   */
  readonly scriptHeap?: number;
  /** What is not to be as machines have it: windows, queues, how a core idles. */
  readonly tuning?: MachineTuning;
  /** Files for what goes through the guest's queues: a capture of vsock packets, a trace of file requests. */
  readonly record?: RecordOptions;
  readonly log?: Log;
}

/**
 * A program to boot. Threads get at a module only by its URL; the inline machine also takes a function. Its args are
 * copied (structured clone), on every machine.
 */
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
  /** Settles when the program has ended, its core has died, or the machine has stopped; never rejects. */
  readonly ended: Promise<ProgramExit>;
}

/** A TCP port of the host that leads to a port of the guest. */
export interface ForwardOptions {
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly guestPort: number;
  /** Connections at one time; further ones are closed at once. 1,024 unless told. */
  readonly maxConnections?: number;
}

export interface Forward {
  readonly host: string;
  readonly port: number;
  readonly guestPort: number;
  /** Takes no more connections; those that are open go on. Settles when the last of them has ended. */
  close(): Promise<void>;
}

export interface Machine {
  readonly kind: MachineKind;
  /** One line per core and device: memory, what is dedicated where. For a boot log. */
  readonly description: readonly string[];
  /**
   * Boots a program on core 0. Once per machine.
   * @throws Error when the machine has had a program, or has stopped; TypeError for args that cannot be cloned, and for a
   * function on the dedicated machine; SystemError ENOENT when the module exports no such function; whatever importing it
   * throws
   */
  start(program: Program): Promise<RunningProgram>;
  /** @throws BridgeError EADDRINUSE, EACCES … of the host's listen; Error when the machine or its vsock device is gone */
  forward(options: ForwardOptions): Promise<Forward>;
  /**
   * Runs a function of the host's side on the thread of the vsock device.
   * @returns what it returns
   * @throws Error when the machine has stopped, or its vsock device is another process: that one is reached through
   * `hostSocket`; SystemError ENOENT when the module exports no such function; whatever it throws
   */
  runHost(program: HostProgram): Promise<unknown>;
  /** Where a vsock device in another process takes `CONNECT port`, if it is known; `undefined` when the device is ours. */
  readonly hostSocket: string | undefined;
  /** Of a thread that does not answer within a second, its part says so. */
  stats(): Promise<MachineStats>;
  /**
   * Asks the program to stop, waits for it up to `graceMs`, then ends it, and lets go of everything: memory, threads,
   * sockets, descriptors. It ends also when threads hang or have died, a few seconds later at most. Never rejects.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
}
