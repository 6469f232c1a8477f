/**
 * What a program gets: its system calls, as one typed object. It belongs to one thread; a thread that is spawned gets
 * its own. Types only: an appliance that imports this drags no machine in.
 */
import type { BusCalls, ThreadCalls } from "@toril/kernel";
import type { DmaBuffer } from "@toril/memory";
import type { SocketCalls } from "@toril/sockets";
import type { AbortSignalLike, Clock, Log, TextCodec } from "@toril/virtio/platform";
import type { FileCalls } from "@toril/virtio-fs";
import type { StatGroup } from "./stats.ts";

/** Memory of this thread's core. */
export interface MemoryCalls {
  /** A buffer in guest memory that can be lent to devices; `undefined` when the core's memory is exhausted. */
  allocate(length: number, alignment?: number): DmaBuffer | undefined;
  /** Bytes of the core's heap that are in use, and in all. */
  usage(): { readonly used: number; readonly size: number };
}

export interface Sys {
  /** Threads: spawn, yield, sleep, join, cancel, and who this one is. */
  readonly threads: ThreadCalls<Sys>;
  /** Sockets over virtio-vsock. */
  readonly net: SocketCalls;
  /** Files over virtio-fs. @throws SystemError ENODEV from every call when the machine has no directory. */
  readonly fs: FileCalls;
  readonly memory: MemoryCalls;
  /** Messages between cores. @throws SystemError ENODEV from every call on a machine of one core. */
  readonly bus: BusCalls;
  readonly log: Log;
  readonly clock: Clock;
  readonly text: TextCodec;
  /** Milliseconds since 1970, as the host's clock has it. */
  wallClock(): number;
  /** What the program was started with. */
  readonly args: unknown;
  /** Counters of the program's own, read whenever the machine's are: numbers, texts, and objects of them. */
  report(part: string, read: () => object): void;
  /** Counters of this core, its loop and its drivers, and what the program reports, as they are now. */
  stats(): { readonly [part: string]: StatGroup };
  /** Tells the machine that the program now does its job (a server: that it listens). */
  ready(): void;
  /**
   * Ends when the machine is asked to stop: close what is open, then return from `main`. A wait that is given this signal
   * ends with ECANCELED then; when `main` lets that through it has stopped in order.
   */
  readonly stopping: AbortSignalLike;
}

/** The program of an appliance. It ends when the promise settles; its number, when it returns one, is the exit code. */
export type Main = ((sys: Sys) => Promise<void>) | ((sys: Sys) => Promise<number>);
