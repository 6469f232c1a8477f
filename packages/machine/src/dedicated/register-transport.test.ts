import { GuestMemory, guestAddress } from "@toril/memory";
import { DeviceHost, DeviceStatus, InterruptFlags, initializeDevice } from "@toril/virtio";
import { BumpAllocator, ECHO_DEVICE_TYPE, EchoDevice, transportCompliance } from "@toril/virtio/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startEchoThread } from "../../test/echo-device-thread.ts";
import { CONFIG_INTERRUPT, MAX_QUEUES, Operation, Register, RegisterPage } from "./register-page.ts";
import { RegisterServer } from "./register-server.ts";
import { RegisterTransport } from "./register-transport.ts";

const allocatorOf = (memory: GuestMemory): BumpAllocator => new BumpAllocator(memory, guestAddress(4_096));
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const ignore = { ring: (): void => {} };

/** Both ends in this thread: the device's bell is its loop. */
function oneThread(device: EchoDevice): {
  memory: GuestMemory;
  page: RegisterPage;
  server: RegisterServer;
  transport: RegisterTransport;
  host: DeviceHost;
} {
  const memory = GuestMemory.allocate({ size: 1 << 20 });
  const page = new RegisterPage();
  const host = new DeviceHost({ device, memory });
  const server = new RegisterServer(host, page, ignore);
  const deviceBell = {
    ring: (): void => {
      while (server.poll() || server.arm()) {}
    },
  };
  const transport = new RegisterTransport({ memory, page, deviceBell, deviceAlive: () => true, commandTimeoutMs: 20 });
  return { memory, page, server, transport, host };
}

describe("RegisterTransport in one thread: compliance", () => {
  const cases = transportCompliance((options) => {
    const device = new EchoDevice(options);
    const { memory, server, transport } = oneThread(device);
    return {
      transport,
      allocator: allocatorOf(memory),
      settle: () => {
        while (server.poll() || transport.poll() || server.arm() || transport.arm()) {}
      },
      setConfig: (config) => device.setConfig(config),
      breakDevice: (reason) => device.context?.needsReset(reason),
      dispose: () => transport.close(),
    };
  });
  for (const { title, run } of cases) it(title, run);
});

describe("RegisterTransport to a device thread: compliance", () => {
  const cases = transportCompliance(async (options) => {
    const thread = await startEchoThread(options);
    return {
      transport: thread.transport,
      allocator: allocatorOf(thread.memory),
      settle: async () => {
        if (!thread.transport.poll()) await pause();
      },
      setConfig: (config) => thread.tell({ kind: "set-config", config }),
      breakDevice: (reason) => thread.tell({ kind: "break", reason }),
      dispose: async () => {
        thread.transport.close();
        await thread.end();
      },
    };
  });
  for (const { title, run } of cases) it(title, run);
});

describe("RegisterTransport: a device thread that does not answer", () => {
  it("a command ends with ERR_TRANSPORT in bounded time, the next at once, and all is well when it comes back", async () => {
    const { transport, tell, answer, end } = await startEchoThread({}, 50);
    tell({ kind: "hang", ms: 400 });
    expect(await answer()).toBe("hanging");
    expect(() => transport.writeStatus(1)).toThrow(/did not answer within 50 ms/);
    expect(() => transport.reset()).toThrow(/has not answered an earlier command/);
    await expect.poll(() => transport.readStatus()).toBe(1);
    transport.reset();
    expect(transport.readStatus()).toBe(0);
    await end();
  });

  it("§2.1.2 a thread that dies shows as DEVICE_NEEDS_RESET, once, and its buffers come back with a reset", async () => {
    const { transport, memory, tell, gone, bell } = await startEchoThread({});
    const interrupts = new InterruptFlags(bell);
    const device = await initializeDevice(transport, echoOptions(memory, interrupts));
    expect(transport.poll()).toBe(false);
    tell({ kind: "exit" });
    await gone;
    expect(transport.arm()).toBe(true);
    expect(transport.poll()).toBe(true);
    expect(interrupts.takeConfigChanged()).toBe(true);
    expect(await device.needsReset()).toBe(true);
    expect([transport.poll(), transport.arm()]).toEqual([false, false]);
    expect(await device.reset()).toEqual([[]]);
    expect(() => transport.writeStatus(1)).toThrow(/has ended/);
    transport.close();
  });

  it("a thread that dies during a command is noticed long before the command's time is over", () => {
    const page = new RegisterPage();
    let looks = 0;
    const transport = new RegisterTransport({
      memory: GuestMemory.allocate({ size: 65_536 }),
      page,
      deviceBell: ignore,
      deviceAlive: () => ++looks < 3,
      commandTimeoutMs: 60_000,
    });
    expect(() => transport.writeStatus(1)).toThrow(/has ended/);
  });
});

describe("RegisterTransport: interrupts", () => {
  it("none is lost between two threads that arm and sleep", async () => {
    const thread = await startEchoThread({});
    const { transport, memory, bell } = thread;
    const interrupts = new InterruptFlags();
    const device = await initializeDevice(transport, echoOptions(memory, interrupts));
    const allocator = allocatorOf(memory);
    const buffer = allocator.allocateDma(64);
    if (buffer === undefined) throw new Error("no memory");
    const queue = device.queue(0);
    for (let i = 0; i < 3_000; i++) {
      queue.beginChain(2);
      queue.addReadable(buffer.address, 32);
      queue.addWritable(buffer.address + 32, 32);
      queue.endChain(buffer);
      device.publish(0);
      for (;;) {
        const seen = bell.read();
        transport.poll();
        if (queue.poll() !== undefined) break;
        // Nothing there: arm, look once more, and sleep. A lost interrupt would end this test by the timeout.
        if (queue.armUsedNotifications() || transport.arm()) continue;
        if (bell.wait(seen, 5_000) === "timed-out") throw new Error(`no interrupt for buffer ${i}`);
      }
    }
    expect(interrupts.received).toBeGreaterThan(0);
    await device.reset();
    await thread.end();
  });
});

describe("RegisterTransport: config space", () => {
  it("§2.5.1 a read during a change waits for its end, and never mixes two states", () => {
    const page = new RegisterPage();
    page.publishConfig(Uint8Array.of(1, 2, 3, 4, 5));
    expect(page.configGeneration).toBe(1);
    page.store(Register.CONFIG_SEQUENCE, page.load(Register.CONFIG_SEQUENCE) | 1);
    expect(page.readConfig(0, 4)).toBeUndefined();
    page.publishConfig(Uint8Array.of(9, 8, 7));
    expect(page.configGeneration).toBe(2);
    expect(page.readConfig(1, 4)).toEqual(Uint8Array.of(8, 7, 0, 5));
  });

  it("a driver that writes more than a command carries, or reads nowhere, is told", () => {
    const { transport } = oneThread(new EchoDevice({ config: new Uint8Array(64) }));
    expect(() => transport.writeConfig(0, new Uint8Array(33))).toThrow(RangeError);
    expect(() => transport.readConfig(-1, 4)).toThrow(RangeError);
    expect(transport.readConfig(250, 10)).toEqual(new Uint8Array(10));
  });
});

describe("RegisterTransport: refusals", () => {
  it("§3.1.1 a queue out of time, too large, or nowhere in memory is refused with ERR_QUEUE", async () => {
    const { transport, memory } = oneThread(new EchoDevice());
    const layout = {
      size: 8,
      descriptorTable: guestAddress(0),
      availableRing: guestAddress(4_096),
      usedRing: guestAddress(8_192),
    };
    expect(() => transport.enableQueue(0, layout)).toThrow(/does not take queue 0/);
    const { ACKNOWLEDGE, DRIVER, FEATURES_OK } = DeviceStatus;
    transport.writeStatus(ACKNOWLEDGE);
    transport.writeStatus(ACKNOWLEDGE | DRIVER);
    transport.writeDriverFeatures(1n << 32n);
    transport.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    for (const bad of [
      { ...layout, size: 7 },
      { ...layout, size: 128 },
      { ...layout, usedRing: guestAddress(memory.size) },
    ]) {
      expect(() => transport.enableQueue(0, bad)).toThrow(expect.objectContaining({ code: "ERR_QUEUE" }));
    }
    expect(() => transport.enableQueue(1, layout)).toThrow(/does not take queue 1/);
    transport.enableQueue(0, layout);
  });

  it("§2.4.1 what was notified before a reset is forgotten with it", async () => {
    const device = new EchoDevice();
    const { transport, server, page, host } = oneThread(device);
    page.store(Register.NOTIFICATIONS, 1);
    transport.reset();
    server.poll();
    expect([host.stats.notifications, host.stats.driverFaults]).toEqual([0, 0]);
  });

  it("a device that does not fit into a page is refused when it is made", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const serve = (options: ConstructorParameters<typeof EchoDevice>[0]): RegisterServer =>
      new RegisterServer(new DeviceHost({ device: new EchoDevice(options), memory }), new RegisterPage(), ignore);
    expect(() => serve({ queueMaxSizes: Array.from({ length: MAX_QUEUES + 1 }, () => 4) })).toThrow(/32 queues/);
    expect(() => serve({ config: new Uint8Array(257) })).toThrow(/257 bytes/);
    expect(() => new RegisterPage(new SharedArrayBuffer(16))).toThrow(/no register page/);
  });
});

describe("garbage in a page's words", () => {
  const word = fc.oneof(fc.integer(), fc.integer({ min: 0, max: 64 }), fc.constant(CONFIG_INTERRUPT));
  const writes = fc.array(fc.tuple(fc.nat(Register.CONFIG + 15), word), { maxLength: 60 });

  it("does not crash or hang a device, whichever command it makes", () => {
    fc.assert(
      fc.property(writes, fc.constantFrom(0, 99, ...Object.values(Operation)), (garbage, operation) => {
        const { page, server, memory } = oneThread(new EchoDevice({ queueMaxSizes: [8, 8] }));
        for (const [index, value] of garbage) page.store(index, value);
        page.store(Register.OPERATION, operation);
        page.store(Register.COMMAND, page.load(Register.COMMAND_DONE) + 1);
        for (let i = 0; i < 4; i++) server.poll();
        server.arm();
        expect(page.load(Register.COMMAND_DONE)).toBe(page.load(Register.COMMAND));
        expect(memory.size).toBe(1 << 20);
      }),
    );
  });

  it("does not crash or hang a driver: its calls answer or throw a VirtioError", () => {
    fc.assert(
      fc.property(writes, fc.integer({ min: -2, max: 70 }), (garbage, index) => {
        const page = new RegisterPage();
        for (const [at, value] of garbage) page.store(at, value);
        const memory = GuestMemory.allocate({ size: 65_536 });
        const transport = new RegisterTransport({
          memory,
          page,
          deviceBell: ignore,
          deviceAlive: () => true,
          commandTimeoutMs: 0,
        });
        const interrupted: number[] = [];
        transport.onInterrupt({ queueUsed: (queue) => void interrupted.push(queue), configChanged: () => {} });
        expect(transport.queueCount).toBeLessThanOrEqual(MAX_QUEUES);
        const notifications = page.load(Register.NOTIFICATIONS);
        transport.notify(index);
        if (index < 0 || index >= transport.queueCount) {
          expect(transport.maxQueueSize(index)).toBe(0);
          expect(page.load(Register.NOTIFICATIONS)).toBe(notifications);
        }
        transport.poll();
        expect(interrupted.every((queue) => queue < transport.queueCount)).toBe(true);
        transport.readStatus();
        transport.readDeviceFeatures();
        transport.readConfigGeneration();
        for (const call of [() => transport.reset(), () => transport.writeStatus(3)]) {
          expect(call).toThrow(expect.objectContaining({ code: "ERR_TRANSPORT" }));
        }
      }),
      { numRuns: 50 },
    );
  });
});

function echoOptions(memory: GuestMemory, interrupts: InterruptFlags) {
  return {
    type: ECHO_DEVICE_TYPE,
    features: { wanted: 0n },
    queues: [{ index: 0, size: 64 }],
    allocator: allocatorOf(memory),
    interrupts,
  };
}
