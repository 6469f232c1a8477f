import { GuestMemory, guestAddress } from "@toril/memory";
import {
  DeviceHost,
  DeviceStatus,
  DeviceType,
  type InitializedDevice,
  InProcessTransport,
  initializeDevice,
} from "@toril/virtio";
import { Errno } from "@toril/virtio/platform";
import { BumpAllocator } from "@toril/virtio/testing";
import { describe, expect, test } from "vitest";
import {
  fuseRequest,
  initRequest,
  nulled,
  parseReply,
  type Reply,
  readArguments,
  words,
} from "../testing/fuse-requests.ts";
import { Opcode } from "../wire/index.ts";
import type { FileHandle, FileSystem, NodeId } from "./file-system.ts";
import { MemoryFileSystem } from "./memory/memory-file-system.ts";
import { VirtioFsDevice, type VirtioFsDeviceOptions } from "./virtio-fs-device.ts";

interface Sent {
  readonly out: Uint8Array;
}

/** A driver that puts any bytes into any queue. */
class Guest {
  readonly memory: GuestMemory = GuestMemory.allocate({ size: 4 * 1024 * 1024 });
  readonly allocator: BumpAllocator = new BumpAllocator(this.memory, guestAddress(4096));
  readonly device: VirtioFsDevice;
  readonly host: DeviceHost;
  readonly transport: InProcessTransport;
  rings = 0;
  #driver: InitializedDevice<Sent> | undefined;

  constructor(fileSystem: FileSystem, options: Partial<VirtioFsDeviceOptions> = {}) {
    this.device = new VirtioFsDevice({ fileSystem, tag: "host", requestQueues: 2, ...options });
    const doorbell = { ring: (): void => void this.rings++ };
    this.host = new DeviceHost({ device: this.device, memory: this.memory, doorbell });
    this.transport = new InProcessTransport(this.host);
  }

  async start(): Promise<this> {
    this.#driver = await initializeDevice<Sent>(this.transport, {
      type: DeviceType.FileSystem,
      queues: [0, 1, 2].map((index) => ({ index, size: 128 })),
      allocator: this.allocator,
    });
    return this;
  }

  get driver(): InitializedDevice<Sent> {
    if (this.#driver === undefined) throw new Error("not started");
    return this.#driver;
  }

  send(queue: number, bytes: Uint8Array, room = 4096): Sent {
    const request = this.#buffer(bytes.length);
    request.writable.set(bytes);
    const ring = this.driver.queues[queue];
    if (ring?.beginChain(room === 0 ? 1 : 2) !== true) throw new Error("the ring is full");
    ring.addReadable(request.address, bytes.length);
    const reply = this.#buffer(Math.max(room, 1));
    if (room > 0) ring.addWritable(reply.address, room);
    const sent = { out: reply.bytes };
    ring.endChain(sent);
    return sent;
  }

  publish(queue: number): boolean {
    return this.driver.queues[queue]?.publish() === true;
  }

  /** What came back on a queue: each request and how much was written to it. */
  taken(queue: number): { sent: Sent; written: number; reply: Reply | undefined }[] {
    const ring = this.driver.queues[queue];
    const all: { sent: Sent; written: number; reply: Reply | undefined }[] = [];
    for (let sent = ring?.poll(); sent !== undefined; sent = ring?.poll()) {
      const written = ring?.usedLength ?? 0;
      all.push({ sent, written, reply: written === 0 ? undefined : parseReply(sent.out, written) });
    }
    return all;
  }

  /** Sends one request and polls until it comes back. */
  call(bytes: Uint8Array, queue = 1): Reply | undefined {
    const sent = this.send(queue, bytes);
    this.publish(queue);
    for (let i = 0; i < 10; i++) this.host.poll();
    return this.taken(queue).find((one) => one.sent === sent)?.reply;
  }

  #buffer(length: number): ReturnType<BumpAllocator["allocateDma"]> & object {
    const buffer = this.allocator.allocateDma(length);
    if (buffer === undefined) throw new Error("no memory");
    return buffer;
  }
}

class SlowReads extends MemoryFileSystem {
  readonly waiting: (() => void)[] = [];
  mode: "slow" | "fast" = "slow";

  // @ts-expect-error a promise, where the memory file system answers at once
  override read(
    node: NodeId,
    handle: FileHandle,
    offset: number,
    targets: readonly Uint8Array[],
  ): number | Promise<number> {
    if (this.mode === "fast") return super.read(node, handle, offset, targets);
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        try {
          resolve(super.read(node, handle, offset, targets));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function slowGuest(
  options: Partial<VirtioFsDeviceOptions> = {},
): Promise<{ guest: Guest; fs: SlowReads; read: Uint8Array }> {
  const fs = new SlowReads();
  fs.addFile("a", "content");
  const guest = await new Guest(fs, options).start();
  guest.call(initRequest());
  guest.call(fuseRequest(Opcode.Lookup, [nulled("a")]));
  const handle = guest.call(fuseRequest(Opcode.Open, [words(0, 0)], { node: 2 }))?.payload[0] ?? 0;
  return { guest, fs, read: fuseRequest(Opcode.Read, [readArguments(handle, 0, 100)], { node: 2 }) };
}

describe("§5.11.4 device configuration", () => {
  test("tag, padded with NULs, and num_request_queues, little-endian", () => {
    const device = new VirtioFsDevice({ fileSystem: new MemoryFileSystem(), tag: "häst", requestQueues: 3 });
    const config = device.readConfig();
    expect(config.length).toBe(40);
    expect([...config.subarray(0, 7)]).toEqual([0x68, 0xc3, 0xa4, 0x73, 0x74, 0, 0]);
    expect([...config.subarray(36)]).toEqual([3, 0, 0, 0]);
    expect([device.type, device.queueMaxSizes.length, device.offeredFeatures]).toEqual([26, 4, 0n]);
  });
  test("a tag of 36 bytes has no NUL; 37, none, or one with a NUL are refused", () => {
    const make = (tag: string): VirtioFsDevice => new VirtioFsDevice({ fileSystem: new MemoryFileSystem(), tag });
    expect(make("x".repeat(36)).readConfig()[35]).toBe(0x78);
    for (const bad of ["", "x".repeat(37), "é".repeat(19), "a\0b"]) expect(() => make(bad)).toThrow(RangeError);
  });
  test("requestQueues and maxInFlight outside their range are refused", () => {
    const fileSystem = new MemoryFileSystem();
    for (const requestQueues of [0, 65, 1.5]) {
      expect(() => new VirtioFsDevice({ fileSystem, tag: "x", requestQueues })).toThrow(RangeError);
    }
    expect(() => new VirtioFsDevice({ fileSystem, tag: "x", maxInFlight: 0 })).toThrow(RangeError);
  });
});

describe("§5.11.6 device operation, over real rings", () => {
  test("requests come back on the queue they went into", async () => {
    const guest = await new Guest(new MemoryFileSystem()).start();
    expect(guest.call(initRequest())?.errno).toBe(0);
    expect(guest.call(fuseRequest(Opcode.Statfs, []), 2)?.errno).toBe(0);
    expect(guest.call(fuseRequest(Opcode.Lookup, [nulled("a")]), 1)?.errno).toBe(Errno.ENOENT);
  });
  test("§5.11.2: FORGET on the hiprio queue is returned with nothing written", async () => {
    const guest = await new Guest(new MemoryFileSystem()).start();
    guest.call(initRequest());
    guest.send(0, fuseRequest(Opcode.Forget, [words(1, 0)], { node: 5 }), 0);
    guest.publish(0);
    guest.host.poll();
    expect(guest.taken(0).map((one) => one.written)).toEqual([0]);
    expect(guest.device.stats.forgets).toBe(1);
  });
  test("many requests in one publish are all served, a bounded number per poll", async () => {
    const guest = await new Guest(new MemoryFileSystem()).start();
    guest.call(initRequest());
    for (let i = 0; i < 60; i++) guest.send(1, fuseRequest(Opcode.Statfs, [], { unique: i }));
    guest.publish(1);
    let polls = 0;
    while (guest.host.poll()) polls++;
    expect(guest.taken(1).map((one) => Number(one.reply?.unique))).toEqual([...Array(60).keys()]);
    expect(polls).toBeGreaterThan(0);
    expect(guest.host.arm()).toBe(false);
  });
  test("garbage breaks nothing: the next request is served", async () => {
    const guest = await new Guest(new MemoryFileSystem()).start();
    guest.call(initRequest());
    for (const length of [1, 39, 40, 4000]) guest.send(1, new Uint8Array(length).fill(0xff));
    guest.send(1, fuseRequest(Opcode.Statfs, []), 3);
    guest.publish(1);
    while (guest.host.poll());
    expect(guest.taken(1).length).toBe(5);
    expect(guest.call(fuseRequest(Opcode.Statfs, []))?.errno).toBe(0);
    expect(guest.host.status & DeviceStatus.DEVICE_NEEDS_RESET).toBe(0);
  });
});

describe("requests that wait for the file system", () => {
  test("others overtake them; when one is ready the loop is woken", async () => {
    const { guest, fs, read } = await slowGuest();
    guest.send(1, read);
    guest.publish(1);
    guest.host.poll();
    expect(guest.call(fuseRequest(Opcode.Statfs, []))?.errno).toBe(0);
    expect([guest.device.stats.pending, guest.host.arm()]).toEqual([1, false]);
    const before = guest.rings;
    fs.waiting[0]?.();
    await flush();
    expect([guest.rings > before, guest.host.arm()]).toEqual([true, true]);
    expect(guest.taken(1)).toEqual([]); // nothing is published outside poll
    guest.host.poll();
    expect(new TextDecoder().decode(guest.taken(1)[0]?.reply?.payload)).toBe("content");
  });
  test("are bounded: the ring holds the guest back, hiprio goes on, nothing is lost and nothing spins", async () => {
    const { guest, fs, read } = await slowGuest({ maxInFlight: 2 });
    for (let i = 0; i < 5; i++) guest.send(1, read);
    guest.publish(1);
    while (guest.host.poll());
    expect([fs.waiting.length, guest.device.stats.pending, guest.host.arm()]).toEqual([2, 2, false]);
    expect(guest.device.stats.inFlightStalls).toBeGreaterThan(0);
    guest.send(0, fuseRequest(Opcode.Forget, [words(1, 0)], { node: 77 }), 0);
    guest.publish(0);
    guest.host.poll();
    expect(guest.taken(0).length).toBe(1);
    let answered = 0;
    for (let round = 0; round < 5; round++) {
      fs.waiting.shift()?.();
      await flush();
      while (guest.host.poll());
      answered += guest.taken(1).length;
    }
    expect(answered).toBe(5);
  });
  test("§2.4.1: after a reset a late answer touches neither rings nor memory, and a new session starts", async () => {
    const { guest, fs, read } = await slowGuest();
    const sent = guest.send(1, read);
    guest.publish(1);
    guest.host.poll();
    guest.transport.reset();
    const before = guest.memory.bytes(guestAddress(0), guest.memory.size).slice();
    fs.waiting[0]?.();
    await flush();
    expect(guest.host.poll()).toBe(false);
    expect(Buffer.compare(guest.memory.bytes(guestAddress(0), guest.memory.size), before)).toBe(0);
    expect(sent.out.every((byte) => byte === 0)).toBe(true);
    await guest.start();
    expect(guest.call(fuseRequest(Opcode.Statfs, []))?.errno).toBe(Errno.EIO);
    expect(guest.call(initRequest())?.errno).toBe(0);
  });
});
