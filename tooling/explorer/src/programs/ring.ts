/**
 * A driver that adds chains, kicks, reclaims, and sleeps when there is nothing to do; a device that serves them likewise.
 * Both follow the rule of every loop of this project: poll; when nothing was done, arm; when arming finds work, poll
 * again; else sleep on the doorbell. Every chain must arrive with its content, and come back with the device's.
 */
import type { GuestMemory } from "@toril/memory";
import { expectThat, type Program, type World } from "../program.ts";
import { type Area, ringNames, wordOfDescriptor } from "./names.ts";

export interface RingOptions {
  /** Ring size. */
  readonly size: number;
  /** Chains in all. */
  readonly chains: number;
  readonly eventIdx: boolean;
  /** Where the indices start; 65535 wraps after the first chain. */
  readonly startIndex: number;
  /** What a chain consists of: one buffer for the device to read, one to write, both, or both by an indirect table. */
  readonly shape: "out" | "in" | "both" | "indirect";
  /** Chains that the driver adds before each publish. */
  readonly batch: number;
  /** Asks the other side not to notify while awake, as drivers and devices under load do. */
  readonly suppress: "never" | "while awake";
  /** The order in which the device completes what it has taken. */
  readonly completes: "in order" | "last first";
}

/** What a loop may do wrong on purpose. */
export interface LoopFaults {
  /** Sleeps although arming has found work. */
  readonly ignoresRecheck?: "driver" | "device";
  /** Sleeps without arming after its first sleep. */
  readonly armsOnce?: "driver" | "device";
}

const ADDRESSES = { table: 0, tables: 256, buffers: 384, bells: 448, bytes: 456 };
const DRIVER_BELL = ADDRESSES.bells;
const DEVICE_BELL = ADDRESSES.bells + 4;
const AREAS: readonly Area[] = [
  [ADDRESSES.tables, (offset) => `indirect descriptor ${offset >> 4} ${wordOfDescriptor(offset)}`],
  [ADDRESSES.buffers, (offset) => `buffer of chain ${offset >> 1}, ${(offset & 1) === 0 ? "out" : "in"}`],
  [DRIVER_BELL, () => "the driver's doorbell"],
  [DEVICE_BELL, () => "the device's doorbell"],
];
/** Each chain has two bytes: one that the driver writes, one that the device writes. */
const outAt = (token: number): number => ADDRESSES.buffers + 2 * token;
const inAt = (token: number): number => outAt(token) + 1;
const outValue = (token: number): number => 0x40 + token;
const inValue = (token: number): number => 0x80 + token;

export function ringProgram(options: RingOptions, faults: LoopFaults = {}): Program {
  const { size, chains, eventIdx, startIndex, shape, batch, suppress, completes } = options;
  const features = eventIdx ? "EVENT_IDX" : "flags";
  const extras = `${suppress === "never" ? "" : `, suppressed ${suppress}`}${completes === "in order" ? "" : `, ${completes}`}`;
  const name = `ring of ${size}, ${chains} chains (${shape}) by ${batch}, ${features}, from ${startIndex}${extras}`;
  const both = shape === "both" || shape === "indirect";

  const driver = (world: World): (() => void) => {
    const { code, ring, sleep } = world;
    const memory = mapped(world);
    const layout = code.layoutAt(code.guestAddress(ADDRESSES.table), size);
    const tables = new code.DmaBuffer(memory, code.guestAddress(ADDRESSES.tables), size * 2 * 16, () => {});
    const indirect = shape === "indirect" ? { indirect: { tables, maxSegments: 2 } } : {};
    const queue = new code.SplitDriverQueue<number>({ memory, layout, eventIdx, startIndex, ...indirect });
    const add = (token: number): boolean => {
      if (!queue.beginChain(both ? 2 : 1)) return false;
      if (shape !== "in") {
        memory.write(code.guestAddress(outAt(token)), Uint8Array.of(outValue(token)));
        queue.addReadable(outAt(token), 1);
      }
      if (shape !== "out") queue.addWritable(inAt(token), 1);
      queue.endChain(token);
      return true;
    };
    const reclaimed = (token: number): void => {
      if (shape === "out") return;
      expectThat(queue.usedLength === 1, `chain ${token} came back with ${queue.usedLength} bytes instead of 1`);
      const found = readByte(world, memory, inAt(token));
      expectThat(found === inValue(token), `chain ${token} came back with ${found} instead of ${inValue(token)}`);
    };
    return () => {
      let added = 0;
      let done = 0;
      const armed = once(faults.armsOnce === "driver");
      while (done < chains) {
        if (suppress === "while awake") queue.suppressUsedNotifications();
        let worked = false;
        for (let token = queue.poll(); token !== undefined; token = queue.poll()) {
          reclaimed(token);
          done++;
          worked = true;
        }
        for (let i = 0; i < batch && added < chains && add(added); i++) {
          added++;
          worked = true;
        }
        if (queue.publish()) ring(DEVICE_BELL);
        expectThat(queue.violation === undefined, `the driver sees a violation: ${queue.violation?.message}`);
        if (worked) continue;
        if (armed() && queue.armUsedNotifications() && faults.ignoresRecheck !== "driver") continue;
        sleep(DRIVER_BELL);
      }
    };
  };

  const device = (world: World): (() => void) => {
    const { code, ring, sleep } = world;
    const memory = mapped(world);
    const layout = code.layoutAt(code.guestAddress(ADDRESSES.table), size);
    const indirect = shape === "indirect";
    const queue = new code.SplitDeviceQueue({ memory, layout, eventIdx, startIndex, indirect });
    const chain = queue.createChain();
    /** The head of the chain, after its content was found right. */
    const serve = (token: number): number => {
      const { head } = chain;
      if (shape !== "in") {
        const from = chain.address(0);
        expectThat(
          from === outAt(token) && chain.length(0) === 1,
          `chain ${token} names ${chain.length(0)} bytes at ${from}`,
        );
        const found = readByte(world, memory, from);
        expectThat(found === outValue(token), `chain ${token} says ${found} instead of ${outValue(token)}`);
      }
      if (shape !== "out") {
        const to = chain.address(chain.count - 1);
        expectThat(to === inAt(token) && chain.writableBytes === 1, `chain ${token} names ${to} to write to`);
        memory.write(to, Uint8Array.of(inValue(token)));
      }
      return head;
    };
    return () => {
      let taken = 0;
      let done = 0;
      const armed = once(faults.armsOnce === "device");
      while (done < chains) {
        if (suppress === "while awake") queue.suppressAvailableNotifications();
        const heads: number[] = [];
        while (queue.next(chain)) heads.push(serve(taken++));
        if (completes === "last first") heads.reverse();
        for (const head of heads) queue.complete(head, shape === "out" ? 0 : 1);
        done += heads.length;
        if (queue.publish()) ring(DRIVER_BELL);
        expectThat(queue.violation === undefined, `the device sees a violation: ${queue.violation?.message}`);
        if (heads.length > 0) continue;
        if (armed() && queue.armAvailableNotifications() && faults.ignoresRecheck !== "device") continue;
        sleep(DEVICE_BELL);
      }
    };
  };

  const threads = [
    { name: "driver", start: driver },
    { name: "device", start: device },
  ];
  return { name, bytes: ADDRESSES.bytes, threads, nameOf: ringNames(size, AREAS) };
}

/** `true`; with the fault only the first time. */
function once(fault: boolean): () => boolean {
  let calls = 0;
  return () => !fault || calls++ === 0;
}

function mapped({ code, bytes }: World): GuestMemory {
  return code.GuestMemory.map([{ base: code.guestAddress(0), buffer: bytes.asBuffer() }]);
}

function readByte({ code }: World, memory: GuestMemory, at: number): number {
  const target = new Uint8Array(1);
  memory.read(code.guestAddress(at), target);
  return target[0] ?? 0;
}
