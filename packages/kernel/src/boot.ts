/**
 * Boots one core: gives it its heap, connects it to the other cores, says so in the boot log. Who boots it then dedicates
 * devices to it and runs a loop; memory and devices belong to this core from then on.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import type { Bell } from "./bell.ts";
import { BusEnd } from "./bus.ts";
import type { BusPlace } from "./bus-layout.ts";
import { Core, type CoreOptions } from "./core.ts";
import type { CoreBoard } from "./core-board.ts";
import { type ModuleLoader, RemoteThreads } from "./remote-threads.ts";
import type { ThreadCalls } from "./thread-calls.ts";

/** How a core reaches the others of its machine. */
export interface Neighbours {
  readonly board: CoreBoard;
  /** The same on every core; `clearBus` was called before the first one booted. */
  readonly bus: BusPlace;
  /** The supervisor asks this core to stop (`board.requestStop`). */
  readonly onStopRequested?: () => void;
}

export interface BootOptions<System> extends Omit<CoreOptions<System>, "system" | "bell"> {
  readonly memory: GuestMemory;
  /** The core's share of guest memory, in bytes. */
  readonly heap: { readonly base: GuestAddress; readonly size: number; readonly guarded?: "guarded" | "unguarded" };
  /** Absent: the only core of its machine. */
  readonly neighbours?: Neighbours;
  /** The core's bell, when it has no neighbours: the board has the others'. */
  readonly bell?: Bell;
  /** Makes what a thread's main gets. */
  readonly system: (threads: ThreadCalls<System>, booted: BootedCore<System>) => System;
  /** How modules are found that threads are spawned from. */
  readonly load?: ModuleLoader;
}

export interface BootedCore<System> {
  readonly core: Core<System>;
  readonly heap: Heap;
  readonly bus: BusEnd<System> | undefined;
  /** Tells the neighbours that this core has stopped in order: after its loop has ended. */
  stopped(): void;
}

/** @throws RangeError when the heap's range is not in memory, or the id is not on the board. */
export function bootCore<System>(options: BootOptions<System>): BootedCore<System> {
  const { id, memory, heap: range, neighbours, system, load } = options;
  const began = options.now();
  const heap = new Heap({ memory, core: id, ...range });
  const bell = neighbours?.board.bell(id) ?? options.bell;
  const { bell: _bell, ...rest } = options;
  const core = new Core<System>({
    ...rest,
    ...(bell === undefined ? {} : { bell }),
    system: (threads) => system(threads, booted),
  });
  const remote = new RemoteThreads<System>(core, load);
  core.connectRemote(remote);
  const bus = neighbours === undefined ? undefined : joinBus(core, memory, remote, neighbours);
  const booted: BootedCore<System> = { core, heap, bus, stopped: () => neighbours?.board.setState(id, "stopped") };
  neighbours?.board.setState(id, "running");
  const peers = neighbours === undefined ? 0 : neighbours.board.cores - 1;
  core.log.debug(`core ${id}: booted`, {
    memory: describeBytes(range.size),
    base: `0x${range.base.toString(16)}`,
    peers,
    ms: Math.round((options.now() - began) * 100) / 100,
  });
  return booted;
}

function joinBus<System>(
  core: Core<System>,
  memory: GuestMemory,
  remote: RemoteThreads<System>,
  { board, bus: place, onStopRequested }: Neighbours,
): BusEnd<System> {
  const stop = onStopRequested === undefined ? {} : { onStopRequested };
  const bus = new BusEnd<System>({ core, memory, place, board, control: remote, ...stop });
  remote.connect(bus);
  core.dedicate(bus, "bus");
  return bus;
}

function describeBytes(bytes: number): string {
  return bytes >= 1 << 20 ? `${Math.round(bytes / (1 << 20))} MiB` : `${Math.round(bytes / 1_024)} KiB`;
}
