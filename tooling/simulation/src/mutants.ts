/**
 * Real code, broken on purpose, from outside: what a mutant changes is put back when its runs are over. If the simulation
 * did not find these, it would prove nothing.
 */
import { TimerQueue } from "@toril/kernel";
import type { DeviceHooks } from "@toril/machine/testing";
import { addressAt, type GuestAddress, type GuestMemory } from "@toril/memory";
import { type Chain, type DeviceQueue, SplitDeviceQueue, SplitDriverQueue } from "@toril/virtqueue";
import type { SeedOptions } from "./run-seed.ts";

export interface Mutant {
  readonly name: string;
  /** What the findings must say. */
  readonly shows: RegExp;
  /** Breaks it. */
  apply(): { readonly hooks?: SeedOptions["hooks"]; undo(): void };
}

const RX_QUEUE = 0;
/** virtio 1.3 §5.10.6: le16 op of struct virtio_vsock_hdr, and where its payload starts. */
const OP_OFFSET = 30;
const HEADER_SIZE = 44;
const CREDIT_UPDATE = 6;

export const MUTANTS: readonly Mutant[] = [
  {
    name: "credit updates to the guest get lost",
    shows: /has not ended|waited \d+ ms|was cut off/,
    apply: () => hooked({ vsockHooks: { queue: onPackets((op, written) => (op === CREDIT_UPDATE ? 0 : written)) } }),
  },
  {
    name: "one packet to the guest in 200 has a wrong byte",
    shows: /WRONG BYTES|is no|that is none/,
    apply: () => {
      let packets = 0;
      return hooked({
        vsockHooks: {
          queue: onPackets((_op, written, flip) => {
            if (written > HEADER_SIZE && ++packets % 200 === 0) flip(HEADER_SIZE);
            return written;
          }),
        },
      });
    },
  },
  {
    name: "one interrupt in 40 gets lost",
    shows: /has not ended|waited \d+ ms|was refused/,
    apply: () => {
      let interrupts = 0;
      const interrupt = (): boolean => ++interrupts % 40 !== 0;
      return hooked({ vsockHooks: { interrupt }, fileHooks: { interrupt } });
    },
  },
  {
    name: "a device does not look once more after it has armed",
    shows: /has not ended|waited \d+ ms|was refused/,
    apply: () => {
      const real = SplitDeviceQueue.prototype.armAvailableNotifications;
      SplitDeviceQueue.prototype.armAvailableNotifications = function (): boolean {
        real.call(this);
        return false;
      };
      return {
        undo: () => {
          SplitDeviceQueue.prototype.armAvailableNotifications = real;
        },
      };
    },
  },
  {
    name: "a reset leaks the head of one chain",
    shows: /heap blocks left/,
    apply: () => {
      const real = SplitDriverQueue.prototype.reset;
      SplitDriverQueue.prototype.reset = function (): ReturnType<typeof real> {
        return real.call(this).slice(1);
      };
      return {
        undo: () => {
          SplitDriverQueue.prototype.reset = real;
        },
      };
    },
  },
  {
    name: "timers cannot be cancelled",
    shows: /cores with timers left|has not ended/,
    apply: () => {
      const real = TimerQueue.prototype.drop;
      TimerQueue.prototype.drop = function (timer): void {
        // What has fired is taken out all the same, or it would fire for ever.
        if (timer.due <= this.now()) real.call(this, timer);
      };
      return {
        undo: () => {
          TimerQueue.prototype.drop = real;
        },
      };
    },
  },
];

function hooked(hooks: NonNullable<SeedOptions["hooks"]>): { hooks: NonNullable<SeedOptions["hooks"]>; undo(): void } {
  return { hooks, undo: () => {} };
}

/** Stands in front of the RX queue: `change` says how many bytes of a packet the guest is told of. */
function onPackets(
  change: (op: number, written: number, flip: (offset: number) => void) => number,
): NonNullable<DeviceHooks["queue"]> {
  return (queue, index, memory) => (index === RX_QUEUE ? new PacketTamperer(queue, memory, change) : queue);
}

class PacketTamperer implements DeviceQueue {
  readonly size: number;
  readonly memory: GuestMemory;
  readonly #inner: DeviceQueue;
  readonly #change: Parameters<typeof onPackets>[0];
  readonly #addresses = new Map<number, GuestAddress>();

  constructor(inner: DeviceQueue, memory: GuestMemory, change: Parameters<typeof onPackets>[0]) {
    this.#inner = inner;
    this.memory = memory;
    this.size = inner.size;
    this.#change = change;
  }

  get outstanding(): number {
    return this.#inner.outstanding;
  }

  get violation(): DeviceQueue["violation"] {
    return this.#inner.violation;
  }

  createChain(): Chain {
    return this.#inner.createChain();
  }

  next(chain: Chain): boolean {
    const found = this.#inner.next(chain);
    if (found) this.#addresses.set(chain.head, chain.address(0));
    return found;
  }

  complete(head: number, written: number): void {
    const address = this.#addresses.get(head);
    if (address === undefined || written < HEADER_SIZE) {
      this.#inner.complete(head, written);
      return;
    }
    const op = this.memory.bytes(addressAt(address, OP_OFFSET), 1)[0] ?? 0;
    const flip = (offset: number): void => {
      const byte = this.memory.bytes(addressAt(address, offset), 1);
      byte[0] = (byte[0] ?? 0) ^ 0x40;
    };
    this.#inner.complete(head, this.#change(op, written, flip));
  }

  publish(): boolean {
    return this.#inner.publish();
  }

  armAvailableNotifications(): boolean {
    return this.#inner.armAvailableNotifications();
  }

  suppressAvailableNotifications(): void {
    this.#inner.suppressAvailableNotifications();
  }
}
