/**
 * The guest's side of a machine: one core with its heap, the drivers that are dedicated to it, and the system calls of
 * its threads. It knows transports, not devices: the same code boots on every machine.
 */
import {
  type Bell,
  type BootedCore,
  bootCore,
  type Core,
  type Neighbours,
  type ThreadCalls,
  type ThreadHandle,
} from "@toril/kernel";
import type { DmaAllocator, GuestAddress, GuestMemory } from "@toril/memory";
import { type OwnedSocketCalls, type SocketCalls, SocketLayer } from "@toril/sockets";
import type { Transport } from "@toril/virtio";
import { CancelSource, Errno, type Log, SystemError, textCodec } from "@toril/virtio/platform";
import { type CacheMode, createFileDriver, type FileCalls, type FileDriver } from "@toril/virtio-fs";
import { createVsockDriver, type TxPath, type VsockDriver } from "@toril/vsock";
import { absentBus, absentFiles, absentSockets } from "./absent.ts";
import { type Recording, type RecordOptions, startRecording } from "./recording.ts";
import { type Access, ReplaceableFiles } from "./replaceable-files.ts";
import { ReplaceableVsock } from "./replaceable-vsock.ts";
import type { Seat } from "./seat.ts";
import { type StatGroup, statGroup } from "./stats.ts";
import type { Main, Sys } from "./sys.ts";
import type { VsockTuning } from "./tuning.ts";

/** What cancelled threads may take to end: closing files and sockets takes a few round trips. */
const TIDY_UP_MS = 100;

export interface GuestOptions {
  /** Number of the core, from 0. */
  readonly core: number;
  readonly memory: GuestMemory;
  /** The core's share of guest memory. */
  readonly heap: { readonly base: GuestAddress; readonly size: number };
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly wallClock: () => number;
  /** Of a core without neighbours; the others' are on the board. */
  readonly bell?: Bell;
  readonly neighbours?: Neighbours;
  readonly log: Log;
  /** For simulations: gives each round of ready threads an order of its own. First come first served unless told. */
  readonly seed?: number;
  /** For simulations: what stands between the heap and those who take buffers from it. */
  readonly allocatorOver?: (heap: DmaAllocator) => DmaAllocator;
}

/** The devices that are dedicated to a core. */
export interface GuestDevices {
  /** Absent: this core has no network. */
  readonly vsock?: {
    readonly transport: Transport;
    readonly txPath: TxPath;
    readonly tuning?: VsockTuning | undefined;
    /** Absent: the device is there for as long as the guest is. Otherwise `networkSeat` may take another one in. */
    readonly replaceable?: true;
  };
  /** Absent: file calls end with ENODEV. */
  readonly files?: {
    readonly transport: Transport;
    readonly cache: CacheMode;
    readonly cacheBytes: number;
    /** Absent: the device is there for as long as the guest is. Otherwise `fileSeat` may take another one in. */
    readonly replaceable?: { readonly access: Access };
    /** Milliseconds for a request, after which the device is taken for dead; for ever unless told. */
    readonly answerTimeoutMs?: number;
  };
  /** Files to record into what goes through the queues. */
  readonly record?: RecordOptions | undefined;
}

export class Guest {
  readonly core: Core<Sys>;
  readonly booted: BootedCore<Sys>;
  readonly #options: GuestOptions;
  readonly #allocator: DmaAllocator;
  readonly #stopping = new CancelSource();
  readonly #sockets = new Map<number, OwnedSocketCalls>();
  readonly #reports = new Map<string, () => object>();
  readonly #text = textCodec();
  #vsock: VsockDriver | undefined;
  #lastingVsock: ReplaceableVsock | undefined;
  #layer: SocketLayer | undefined;
  #files: FileDriver | undefined;
  #fileDevice: GuestDevices["files"];
  #recording: Recording | undefined;
  #releaseFiles: () => void = () => {};
  #replaceable: ReplaceableFiles | undefined;
  #replacing: Promise<void> | undefined;
  #args: unknown;
  #state: "up" | "shutting down" = "up";
  #onLastThread: () => void = () => {};
  #onReady: () => void = () => {};

  /** Boots the core; its loop is the caller's to run. */
  constructor(options: GuestOptions) {
    this.#options = options;
    const { core, memory, heap, now, log, bell, neighbours, seed, allocatorOver } = options;
    this.booted = bootCore<Sys>({
      id: core,
      memory,
      heap,
      now,
      log,
      ...(bell === undefined ? {} : { bell }),
      ...(neighbours === undefined ? {} : { neighbours }),
      ...(seed === undefined ? {} : { seed }),
      system: (threads) => this.#system(threads),
      onThreadExit: (thread) => this.#collect(thread),
    });
    this.core = this.booted.core;
    this.#allocator = allocatorOver?.(this.booted.heap) ?? this.booted.heap;
  }

  /**
   * Brings up the drivers. The core's loop must run by now, and so must the devices.
   * @throws VirtioError or SystemError when a device cannot be brought up; Node's Error when a file to record into cannot be
   * opened
   */
  async bringUp({ vsock, files, record }: GuestDevices): Promise<void> {
    const { clock, bell, log } = this.core;
    if (record !== undefined) this.#recording = startRecording(record, log);
    const shared = { ...vsock?.tuning, allocator: this.#allocator, clock, log, doorbell: bell };
    if (vsock !== undefined) {
      const { txPath, replaceable } = vsock;
      const tap = this.#recording?.vsock;
      const make = (transport: Transport): Promise<VsockDriver> =>
        createVsockDriver({ ...shared, transport, txPath, tap });
      const dedicate = (driver: VsockDriver): (() => void) => this.core.dedicate(driver, "vsock driver");
      if (replaceable === undefined) {
        this.#vsock = await make(vsock.transport);
        dedicate(this.#vsock);
      } else {
        this.#lastingVsock = await ReplaceableVsock.create(vsock.transport, { make, dedicate });
        this.#vsock = this.#lastingVsock;
      }
      this.#layer = new SocketLayer({ driver: this.#vsock, clock });
    }
    if (files === undefined) return;
    this.#fileDevice = files;
    const driver = await this.#createFileDriver(files, files.transport);
    if (files.replaceable !== undefined) this.#replaceable = new ReplaceableFiles(driver, files.replaceable.access);
  }

  /** Of the file device, where it is replaceable. */
  get fileSeat(): Seat {
    const failure = (): string | undefined => this.#files?.failure;
    return {
      get failure() {
        return failure();
      },
      replace: (connect) => this.#replaceFilesInTurn(connect),
    };
  }

  /** Of the vsock device, where it is replaceable: connections end, listening sockets stay. */
  get networkSeat(): Seat {
    const vsock = this.#lastingVsock;
    if (vsock === undefined) throw new Error("this guest's network stays as it is");
    return {
      get failure() {
        return vsock.lost;
      },
      replace: (connect) => vsock.replace(connect),
    };
  }

  /** Programs keep their file calls, and open files as far as ReplaceableFiles can keep them. */
  #replaceFilesInTurn(connect: () => Promise<Transport>): Promise<void> {
    const before = this.#replacing;
    const replacing = (async (): Promise<void> => {
      await before?.catch(() => {});
      await this.#replaceFiles(connect);
    })();
    this.#replacing = replacing;
    return replacing;
  }

  async #replaceFiles(connect: () => Promise<Transport>): Promise<void> {
    const files = this.#fileDevice;
    if (this.#replaceable === undefined || files === undefined) throw new Error("this guest's files stay as they are");
    this.#mustRun();
    await this.#files?.deviceLost("the device is gone");
    await this.#files?.close();
    this.#releaseFiles();
    const transport = await connect();
    this.#mustRun();
    this.#replaceable.driver = await this.#createFileDriver(files, transport);
  }

  #mustRun(): void {
    if (this.#state !== "up") throw new Error("the guest shuts down: it takes no new device");
  }

  async #createFileDriver(
    { cache: mode, cacheBytes: bytes, answerTimeoutMs }: NonNullable<GuestDevices["files"]>,
    transport: Transport,
  ): Promise<FileDriver> {
    const { clock, bell, log } = this.core;
    const shared = { allocator: this.#allocator, clock, log, doorbell: bell };
    const driver = await createFileDriver({
      ...shared,
      transport,
      cache: { mode, bytes },
      ...(answerTimeoutMs === undefined ? {} : { answerTimeoutMs }),
      tap: this.#recording?.files,
    });
    this.#files = driver;
    this.#releaseFiles = this.core.dedicate(driver, "file driver");
    return driver;
  }

  /** The guest's context id; `undefined` without a network. */
  get cid(): number | undefined {
    return this.#vsock?.guestCid;
  }

  /** Starts the program as a thread of its own. `onReady` follows `sys.ready()`. */
  start(main: Main, args: unknown, onReady: () => void): ThreadHandle<number | undefined> {
    this.#args = args;
    this.#onReady = onReady;
    const run = async (sys: Sys): Promise<number | undefined> => {
      try {
        return (await main(sys)) ?? undefined;
      } catch (error) {
        // A wait that `sys.stopping` has ended, and nobody caught: that is how a program stops, too.
        const stopped = this.#stopping.signal.aborted && error instanceof SystemError;
        if (stopped && error.errno === Errno.ECANCELED) return undefined;
        throw error;
      }
    };
    return this.core.spawn(run, { name: "main" });
  }

  /** Asks the program to end: `sys.stopping` fires. */
  requestStop(): void {
    this.#stopping.cancel(new Error("the machine is stopping"));
  }

  /**
   * Cancels all threads and gives them a moment to tidy up, then resets both devices; what the drivers had of the heap
   * is back after that.
   */
  async shutDown(): Promise<void> {
    this.core.cancelAll(new Error("the machine has stopped"));
    await this.#threadsGone();
    this.#state = "shutting down";
    await this.#replacing?.catch(() => {});
    await this.#files?.close();
    await this.#vsock?.close();
    this.#recording?.close();
  }

  /** Also those that a thread starts while it tidies up. */
  async #threadsGone(): Promise<void> {
    if (this.core.threads.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.core.clock.after(TIDY_UP_MS, resolve);
      this.#onLastThread = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  stats(): { readonly [part: string]: StatGroup } {
    const { devices, ...core } = this.core.stats;
    const polls = Object.fromEntries(devices.map(({ name, busyPolls }) => [name, busyPolls]));
    const { bytesInUse, peakBytesInUse, capacity } = this.booted.heap.stats();
    const parts: Record<string, StatGroup> = {
      [`core ${this.core.id}`]: { ...core, busyPolls: polls, heap: { bytesInUse, peakBytesInUse, capacity } },
    };
    if (this.#vsock !== undefined) parts["vsock driver"] = statGroup(this.#vsock.stats);
    if (this.#files !== undefined) parts["file driver"] = statGroup(this.#files.stats);
    for (const [part, read] of this.#reports) parts[part] = statGroup(read());
    return parts;
  }

  /** Counters that `stats` tells beside the guest's own: of a program, or of the loop that runs the core. */
  report(part: string, read: () => object): void {
    this.#reports.set(part, read);
  }

  #system(threads: ThreadCalls<Sys>): Sys {
    const { log, wallClock } = this.#options;
    const { heap, bus } = this.booted;
    const { signal } = threads;
    const net = this.#networkOf(threads);
    const fs: FileCalls = (this.#replaceable ?? this.#files)?.callsFor({ signal }) ?? absentFiles(this.#whyNoFiles());
    return {
      threads,
      net,
      fs,
      memory: {
        allocate: (length, alignment) => this.#allocator.allocateDma(length, alignment),
        usage: () => ({ used: heap.stats().bytesInUse, size: heap.size }),
      },
      log,
      clock: this.core.clock,
      bus: bus?.callsFor(threads) ?? absentBus(this.core.id),
      text: this.#text,
      wallClock,
      args: this.#args,
      report: (part, read) => this.report(part, read),
      stats: () => this.stats(),
      ready: () => this.#onReady(),
      stopping: this.#stopping.signal,
    };
  }

  #whyNoFiles(): string {
    if (this.core.id > 0) return `core ${this.core.id} has no files: the devices belong to core 0`;
    return "this machine has no directory: give it one (--dir)";
  }

  #networkOf(threads: ThreadCalls<Sys>): SocketCalls {
    if (this.#layer === undefined) {
      return absentSockets(`core ${this.core.id} has no network: the devices belong to core 0`);
    }
    const calls = this.#layer.callsFor({ signal: threads.signal });
    this.#sockets.set(threads.id, calls);
    return calls;
  }

  /** What a thread leaves open is closed, or a program that fails often would run out of ports. */
  #collect(thread: ThreadHandle): void {
    const left = this.#sockets.get(thread.id)?.closeAll() ?? 0;
    this.#sockets.delete(thread.id);
    if (this.core.threads.length === 0) this.#onLastThread();
    if (left > 0) this.#options.log.debug("a thread left sockets open", { thread: thread.name, sockets: left });
  }
}
