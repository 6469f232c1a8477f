/**
 * A driver and a device in one thread, over real rings, with a clock that moves only when nothing else can: for tests of
 * file systems, devices and programs.
 */
import { DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { type Device, DeviceHost, InProcessTransport } from "@toril/virtio";
import type { Log, Pollable } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import { createFileDriver, type FileDriverOptions } from "../driver/create-driver.ts";
import type { FileDriver } from "../driver/driver.ts";
import type { FileCalls } from "../file-calls.ts";

export interface TestMountOptions extends Partial<Omit<FileDriverOptions, "transport">> {
  /** Bytes of guest memory; 8 MiB unless told. */
  readonly memorySize?: number;
  readonly log?: Log;
}

/** Turns without work, and without a timer to fire, after which a wait is given up. */
const IDLE_TURNS = 50;

export class TestMount {
  readonly memory: GuestMemory;
  readonly heap: Heap;
  readonly clock: VirtualClock = new VirtualClock(1000);
  readonly host: DeviceHost;
  readonly transport: InProcessTransport;
  /** False: the device gets no turn, as if it were busy or dead. */
  serving = true;
  #driver: FileDriver | undefined;
  #calls: FileCalls | undefined;

  private constructor(device: Device, options: TestMountOptions) {
    this.memory = GuestMemory.allocate({ size: options.memorySize ?? 8 * 2 ** 20 });
    this.heap = new Heap({ memory: this.memory, base: guestAddress(0), size: this.memory.size });
    this.host = new DeviceHost({
      device,
      memory: this.memory,
      ...(options.log === undefined ? {} : { log: options.log }),
    });
    this.transport = new InProcessTransport(this.host);
  }

  /** Brings a driver up on `device`. */
  static async start(device: Device, options: TestMountOptions = {}): Promise<TestMount> {
    const mount = new TestMount(device, options);
    const { transport, clock } = mount;
    mount.#driver = await mount.run(createFileDriver({ allocator: mount.heap, clock, ...options, transport }));
    return mount;
  }

  get driver(): FileDriver {
    if (this.#driver === undefined) throw new Error("the driver is not up yet");
    return this.#driver;
  }

  /** The calls of one thread. */
  get calls(): FileCalls {
    this.#calls ??= this.driver.callsFor();
    return this.#calls;
  }

  /** Gives device, driver and promises their turns until `work` settles; time moves only when all are idle. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    work.then(done, done);
    for (let idle = 0; !settled; ) {
      if (await this.turn()) idle = 0;
      else if (++idle > IDLE_TURNS / 2 && !settled && !this.clock.advanceToNext() && idle > IDLE_TURNS) {
        throw new Error("nothing moves any more, and the call has not ended");
      }
    }
    return work;
  }

  /** Until nobody has anything to do; timers do not fire. */
  async idle(): Promise<void> {
    for (let idle = 0; idle < 5; ) idle = (await this.turn()) ? 0 : idle + 1;
  }

  /** One turn of each. Whether anything was done. */
  async turn(): Promise<boolean> {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    const device: Pollable = this.host;
    const served = this.serving && device.poll();
    const drove = this.#driver?.poll() === true;
    return served || drove;
  }

  /** A buffer of guest memory. @throws Error when there is none left */
  buffer(length: number): DmaBuffer {
    const buffer = this.heap.allocateDma(length, 16);
    if (!(buffer instanceof DmaBuffer)) throw new Error(`no ${length} bytes of guest memory`);
    return buffer;
  }
}
