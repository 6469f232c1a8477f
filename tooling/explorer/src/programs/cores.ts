/**
 * Two cores with the kernel's own `Core` and `WakeWord`: a driver is dedicated to one, a device to the other, and each
 * rings the other core's wake word, as the ends of a bus channel do.
 */
import type { WakeWord } from "@toril/kernel";
import type { Pollable } from "@toril/virtio/platform";
import { expectThat, type Program, type World } from "../program.ts";
import { type LoopFault, runCore } from "./core-loop.ts";
import { type Area, ringNames } from "./names.ts";

export interface CoresOptions {
  readonly chains: number;
  readonly eventIdx: boolean;
  readonly startIndex: number;
}

/** What a core's loop may do wrong on purpose. */
export interface CoresFaults {
  /** Reads the bell's count after arming, when a ring may already be in it. */
  readonly readsCountLate?: "driver core" | "device core";
  /** Goes to wait without arming its devices. */
  readonly forgetsToArm?: "driver core" | "device core";
}

const SIZE = 2;
const ADDRESSES = { table: 0, buffers: 96, driverBell: 128, deviceBell: 136, bytes: 144 };

const AREAS: readonly Area[] = [
  [ADDRESSES.buffers, (offset) => `buffer of chain ${offset}`],
  [ADDRESSES.driverBell, () => "the driver core's rings"],
  [ADDRESSES.driverBell + 4, () => "the driver core's waiters"],
  [ADDRESSES.deviceBell, () => "the device core's rings"],
  [ADDRESSES.deviceBell + 4, () => "the device core's waiters"],
];

export function coresProgram({ chains, eventIdx, startIndex }: CoresOptions, faults: CoresFaults = {}): Program {
  const driver = (world: World): (() => void) => {
    const { code } = world;
    const memory = code.GuestMemory.map([{ base: code.guestAddress(0), buffer: world.bytes.asBuffer() }]);
    const layout = code.layoutAt(code.guestAddress(ADDRESSES.table), SIZE);
    const queue = new code.SplitDriverQueue<number>({ memory, layout, eventIdx, startIndex });
    const deviceBell = bellAt(world, ADDRESSES.deviceBell);
    let added = 0;
    let done = 0;
    const add = (): boolean => {
      if (added === chains) return false;
      const buffer = code.guestAddress(ADDRESSES.buffers + added);
      memory.write(buffer, Uint8Array.of(0x40 + added));
      if (!queue.lendReadable(buffer, 1, added)) return false;
      added++;
      return true;
    };
    const reclaim = (): boolean => {
      if (queue.poll() === undefined) return false;
      done++;
      return true;
    };
    const pollable: Pollable = {
      poll: () => {
        const reclaimed = reclaim();
        const worked = add() || reclaimed;
        if (queue.publish()) deviceBell.ring();
        return worked;
      },
      arm: () => queue.armUsedNotifications(),
    };
    const finished = (): boolean => {
      expectThat(queue.violation === undefined, `the driver sees a violation: ${queue.violation?.message}`);
      return done === chains;
    };
    const bell = bellAt(world, ADDRESSES.driverBell);
    return runCore(world, bell, pollable, finished, faultOf(faults, "driver core"));
  };

  const device = (world: World): (() => void) => {
    const { code } = world;
    const memory = code.GuestMemory.map([{ base: code.guestAddress(0), buffer: world.bytes.asBuffer() }]);
    const layout = code.layoutAt(code.guestAddress(ADDRESSES.table), SIZE);
    const queue = new code.SplitDeviceQueue({ memory, layout, eventIdx, startIndex, indirect: false });
    const chain = queue.createChain();
    const driverBell = bellAt(world, ADDRESSES.driverBell);
    const content = new Uint8Array(1);
    let done = 0;
    let problem = "";
    const pollable: Pollable = {
      poll: () => {
        if (!queue.next(chain)) return false;
        chain.read(0, content);
        if (content[0] !== 0x40 + done) problem = `chain ${done} says ${content[0]} instead of ${0x40 + done}`;
        queue.complete(chain.head, 0);
        done++;
        if (queue.publish()) driverBell.ring();
        return true;
      },
      arm: () => queue.armAvailableNotifications(),
    };
    const finished = (): boolean => {
      expectThat(problem === "", problem);
      expectThat(queue.violation === undefined, `the device sees a violation: ${queue.violation?.message}`);
      return done === chains;
    };
    const bell = bellAt(world, ADDRESSES.deviceBell);
    return runCore(world, bell, pollable, finished, faultOf(faults, "device core"));
  };

  return {
    name: `two cores, ring of ${SIZE}, ${chains} chains, ${eventIdx ? "EVENT_IDX" : "flags"}, from ${startIndex}`,
    bytes: ADDRESSES.bytes,
    threads: [
      { name: "driver core", start: driver },
      { name: "device core", start: device },
    ],
    nameOf: ringNames(SIZE, AREAS),
  };
}

function faultOf(faults: CoresFaults, core: "driver core" | "device core"): LoopFault {
  if (faults.readsCountLate === core) return "reads the count late";
  return faults.forgetsToArm === core ? "forgets to arm" : "none";
}

function bellAt({ code, words }: World, address: number): WakeWord {
  return new code.WakeWord(words, address / 4);
}
