/**
 * A driver and a device of the dedicated machine, each on a core of its own: the driver notifies through the register
 * page, the device interrupts through it, `InterruptFlags` passes interrupts on. All of that is the machine's own code:
 * RegisterTransport, RegisterServer, DeviceHost, InterruptFlags, Core, WakeWord, and the queues. The set-up (features,
 * status, places of queues) is done before the threads run.
 */
import type { WakeWord } from "@toril/kernel";
import type { Device, DeviceContext } from "@toril/virtio";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { expectThat, type Program, type World } from "../program.ts";
import { SharedBytes } from "../stand-ins.ts";
import { runCore } from "./core-loop.ts";
import { type Area, ringNames } from "./names.ts";

export interface DedicatedOptions {
  readonly chains: number;
  readonly eventIdx: boolean;
  readonly startIndex: number;
}

const SIZE = 2;
const PAGE_BYTES = 512;
const ADDRESSES = { table: 0, buffers: 96, driverBell: 128, deviceBell: 136, page: 256, bytes: 256 + PAGE_BYTES };
/** Word numbers of the register page (register-page.ts). */
const REGISTERS: ReadonlyMap<number, string> = new Map([
  [0, "COMMAND"],
  [1, "COMMAND_DONE"],
  [18, "STATUS"],
  [20, "INTERRUPTS"],
  [21, "NOTIFICATIONS"],
]);
const AREAS: readonly Area[] = [
  [ADDRESSES.buffers, (offset) => `buffer of chain ${offset}`],
  [ADDRESSES.driverBell, () => "the driver core's rings"],
  [ADDRESSES.driverBell + 4, () => "the driver core's waiters"],
  [ADDRESSES.deviceBell, () => "the device core's rings"],
  [ADDRESSES.deviceBell + 4, () => "the device core's waiters"],
  [ADDRESSES.page, (offset) => `register ${REGISTERS.get(offset >> 2) ?? offset >> 2}`],
];

export function dedicatedProgram({ chains, eventIdx, startIndex }: DedicatedOptions): Program {
  const device = (world: World): (() => void) => {
    const { code } = world;
    const memory = mapped(world);
    const served = new CountingDevice(chains);
    const ownBell = bellAt(world, ADDRESSES.deviceBell);
    const host = new code.DeviceHost({ device: served, memory, doorbell: ownBell });
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = code.DeviceStatus;
    const wanted = code.featureBit(code.Feature.VERSION_1);
    host.writeStatus(ACKNOWLEDGE);
    host.writeStatus(ACKNOWLEDGE | DRIVER);
    host.writeDriverFeatures(eventIdx ? wanted | code.featureBit(code.Feature.EVENT_IDX) : wanted);
    host.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    host.enableQueue(0, code.layoutAt(code.guestAddress(ADDRESSES.table), SIZE), startIndex);
    host.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    expectThat(host.lastFault === undefined, `the device was not set up: ${host.lastFault?.message}`);
    const server = new code.RegisterServer(host, pageOf(world), bellAt(world, ADDRESSES.driverBell));
    return runCore(world, ownBell, server, () => {
      expectThat(served.problem === "", served.problem);
      expectThat(host.status < 64, "the device needs a reset");
      return served.done === chains;
    });
  };

  const driver = (world: World): (() => void) => {
    const { code } = world;
    const memory = mapped(world);
    const layout = code.layoutAt(code.guestAddress(ADDRESSES.table), SIZE);
    const queue = new code.SplitDriverQueue<number>({ memory, layout, eventIdx, startIndex });
    const ownBell = bellAt(world, ADDRESSES.driverBell);
    const deviceBell = bellAt(world, ADDRESSES.deviceBell);
    const page = pageOf(world);
    const transport = new code.RegisterTransport({ memory, page, deviceBell, deviceAlive: () => true });
    const interrupts = new code.InterruptFlags(ownBell);
    transport.onInterrupt(interrupts);
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
    const pollable = {
      poll: (): boolean => {
        const told = transport.poll();
        interrupts.takeQueueUsed();
        const reclaimed = reclaim();
        const worked = add() || reclaimed || told;
        if (queue.publish()) transport.notify(0);
        return worked;
      },
      arm: (): boolean => {
        const told = transport.arm();
        return queue.armUsedNotifications() || told;
      },
    };
    return runCore(world, ownBell, pollable, () => {
      expectThat(queue.violation === undefined, `the driver sees a violation: ${queue.violation?.message}`);
      return done === chains;
    });
  };

  return {
    name: `dedicated machine, ring of ${SIZE}, ${chains} chains, ${eventIdx ? "EVENT_IDX" : "flags"}, from ${startIndex}`,
    bytes: ADDRESSES.bytes,
    // The device comes first: it fills the register page that the driver's transport reads.
    threads: [
      { name: "device core", start: device },
      { name: "driver core", start: driver },
    ],
    nameOf: ringNames(SIZE, AREAS),
  };
}

/** Takes every chain, looks at its content, and gives it back. */
class CountingDevice implements Device {
  readonly type = 65_001;
  readonly offeredFeatures = 0n;
  readonly queueMaxSizes: readonly number[] = [SIZE];
  done = 0;
  problem = "";
  readonly #chains: number;
  readonly #content = new Uint8Array(1);
  #context: DeviceContext | undefined;
  #queue: DeviceQueue | undefined;
  #chain: Chain | undefined;

  constructor(chains: number) {
    this.#chains = chains;
  }

  readConfig(): Uint8Array {
    return new Uint8Array(0);
  }

  activate(context: DeviceContext): void {
    this.#context = context;
    this.#queue = context.queues[0];
    this.#chain = this.#queue?.createChain();
  }

  reset(): void {
    this.#context = undefined;
  }

  poll(): boolean {
    const chain = this.#chain;
    if (chain === undefined || this.#queue?.next(chain) !== true) return false;
    chain.read(0, this.#content);
    const [found] = this.#content;
    if (found !== 0x40 + this.done) this.problem = `chain ${this.done} of ${this.#chains} says ${found}`;
    this.#queue.complete(chain.head, 0);
    this.done++;
    if (this.#queue.publish()) this.#context?.interrupt(0);
    return true;
  }

  arm(): boolean {
    return this.#queue?.armAvailableNotifications() === true;
  }
}

function mapped({ code, bytes }: World): ReturnType<typeof code.GuestMemory.map> {
  return code.GuestMemory.map([{ base: code.guestAddress(0), buffer: bytes.asBuffer(), size: ADDRESSES.page }]);
}

function pageOf({ code }: World): InstanceType<typeof code.RegisterPage> {
  return new code.RegisterPage(new SharedBytes(ADDRESSES.page, PAGE_BYTES).asBuffer());
}

function bellAt({ code, words }: World, address: number): WakeWord {
  return new code.WakeWord(words, address / 4);
}
