/** A vsock driver and a vsock device in one thread, with everything real between them: rings, registers, credit. */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import type { Clock, Log } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import { type Cid, guestCid } from "../address.ts";
import type { VsockDeviceOptions } from "../device/options.ts";
import { VsockDevice } from "../device/vsock-device.ts";
import type { VsockDriver } from "../driver/api.ts";
import { createVsockDriver } from "../driver/create.ts";
import type { VsockDriverOptions } from "../driver/options.ts";

export interface LoopbackOptions {
  /** Guest memory in bytes; 16 MiB unless told. */
  readonly memory?: number;
  readonly guestCid?: Cid;
  /** A virtual clock unless told: it moves when the test moves it. */
  readonly clock?: Clock;
  readonly log?: Log;
  readonly driver?: Partial<Omit<VsockDriverOptions, "transport" | "allocator" | "clock">>;
  readonly device?: Partial<Omit<VsockDeviceOptions, "guestCid" | "clock">>;
  /** Ring features that the host offers; all unless told. */
  readonly ringFeatures?: bigint;
}

export interface Loopback {
  readonly memory: GuestMemory;
  readonly heap: Heap;
  readonly device: VsockDevice;
  readonly host: DeviceHost;
  readonly driver: VsockDriver;
  /** The virtual clock; `undefined` when another was given. */
  readonly clock: VirtualClock | undefined;
  /**
   * Polls both ends until neither has work and both are armed.
   * @throws Error when that does not end within a million rounds.
   */
  settle(): void;
}

export async function createLoopback(options: LoopbackOptions = {}): Promise<Loopback> {
  const memory = GuestMemory.allocate({ size: options.memory ?? 16 * 1024 * 1024 });
  const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  const virtual = options.clock === undefined ? new VirtualClock() : undefined;
  const clock = options.clock ?? virtual ?? new VirtualClock();
  const log = options.log === undefined ? {} : { log: options.log };
  const device = new VsockDevice({ ...options.device, ...log, clock, guestCid: options.guestCid ?? guestCid(3) });
  const ringFeatures = options.ringFeatures === undefined ? {} : { ringFeatures: options.ringFeatures };
  const host = new DeviceHost({ device, memory, ...log, ...ringFeatures });
  const transport = new InProcessTransport(host);
  const driver = await createVsockDriver({ ...options.driver, ...log, transport, allocator: heap, clock });
  return {
    ...{ memory, heap, device, host, driver, clock: virtual },
    settle(): void {
      for (let round = 0; round < 1_000_000; round++) {
        const worked = [driver.poll(), host.poll()].includes(true);
        if (!worked && ![driver.arm(), host.arm()].includes(true)) return;
      }
      throw new Error("driver and device do not come to rest");
    },
  };
}
