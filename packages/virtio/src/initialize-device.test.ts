import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it, vi } from "vitest";
import { DeviceHost } from "./device-host.ts";
import { DeviceStatus } from "./device-status.ts";
import { Feature, featureBit } from "./features.ts";
import { InProcessTransport } from "./in-process-transport.ts";
import { type InitializeOptions, initializeDevice } from "./initialize-device.ts";
import type { InitializedDevice } from "./initialized-device.ts";
import { InterruptFlags } from "./interrupt-flags.ts";
import { BumpAllocator, ECHO_DEVICE_TYPE, EchoDevice, type EchoOptions } from "./testing/index.ts";

function create(options: EchoOptions = {}, bytes = 1 << 20) {
  const memory = GuestMemory.allocate({ size: 1 << 20 });
  const device = new EchoDevice(options);
  const host = new DeviceHost({ device, memory });
  const transport = new InProcessTransport(host);
  const allocator = new BumpAllocator(memory, guestAddress(0), bytes);
  const initialize = (more: Partial<InitializeOptions<string>> = {}): Promise<InitializedDevice<string>> =>
    initializeDevice<string>(transport, {
      type: ECHO_DEVICE_TYPE,
      queues: [{ index: 0, size: 8 }],
      allocator,
      ...more,
    });
  return { memory, device, host, transport, allocator, initialize };
}

describe("initializeDevice", () => {
  it("§3.1.1 goes through the steps in their order", async () => {
    const { transport, initialize } = create();
    const steps: string[] = [];
    for (const name of [
      "reset",
      "writeStatus",
      "readDeviceFeatures",
      "writeDriverFeatures",
      "readStatus",
      "enableQueue",
    ] as const) {
      const original = transport[name].bind(transport) as (...args: unknown[]) => unknown;
      vi.spyOn(transport, name).mockImplementation((...args: unknown[]): never => {
        steps.push(name === "writeStatus" ? `status ${String(args[0])}` : name);
        return original(...args) as never;
      });
    }
    await initialize({ prepare: () => void steps.push("prepare") });
    expect(steps).toEqual([
      "reset",
      "status 1",
      "status 3",
      "readDeviceFeatures",
      "writeDriverFeatures",
      "status 11",
      "readStatus",
      "enableQueue",
      "prepare",
      "status 15",
      "readStatus",
    ]);
  });

  it("§2.2.1 accepts what is required, and of what is wanted what is offered", async () => {
    const { initialize } = create();
    const device = await initialize({ features: { required: 1n, wanted: featureBit(5) | featureBit(1) } });
    const rings = featureBit(Feature.EVENT_IDX) | featureBit(Feature.INDIRECT_DESC);
    expect(device.features).toBe(featureBit(Feature.VERSION_1) | rings | 0b11n);
  });

  it("§2.2.1 leaves ring features alone that are declined", async () => {
    const { initialize } = create();
    const device = await initialize({ features: { declined: featureBit(Feature.EVENT_IDX) } });
    expect(device.has(Feature.EVENT_IDX)).toBe(false);
    expect(device.has(Feature.INDIRECT_DESC)).toBe(true);
  });

  it.each([
    ["ERR_DEVICE_TYPE", {}, { type: 19 }, 0],
    ["ERR_FEATURE_MISSING", {}, { features: { required: featureBit(7) } }, 131],
    ["ERR_FEATURES_REFUSED", { requires: "bit-1" }, {}, 139],
    ["ERR_QUEUE", {}, { queues: [{ index: 5, size: 8 }] }, 139],
    ["ERR_NO_MEMORY", {}, { queues: [{ index: 0, size: 64 }] }, 139],
  ] as const)("§3.1.1 %s: says so, sets FAILED and keeps no memory", async (code, echo, more, status) => {
    const { initialize, host, allocator } = create(echo, 256);
    await expect(initialize(more)).rejects.toMatchObject({ name: "VirtioError", code });
    // 139 has FEATURES_OK only where the device had accepted it.
    expect(host.status).toBe(code === "ERR_FEATURES_REFUSED" ? 131 : status);
    expect(allocator.live).toBe(0);
  });

  it("§3.1.1 a device that breaks as it goes live is reset, then FAILED", async () => {
    const { initialize, device, host, allocator } = create();
    vi.spyOn(device, "activate").mockImplementation((context) => context.needsReset("out of order"));
    await expect(initialize()).rejects.toMatchObject({ code: "ERR_DEVICE_BROKEN" });
    expect(host.status).toBe(DeviceStatus.FAILED);
    expect(allocator.live).toBe(0);
  });

  it("§3.1.1 an error in prepare is passed on", async () => {
    const { initialize, allocator } = create();
    const prepare = (): never => {
      throw new Error("config makes no sense");
    };
    await expect(initialize({ prepare })).rejects.toThrow("config makes no sense");
    expect(allocator.live).toBe(0);
  });

  it("§2.7 takes the device's maximum where that is smaller", async () => {
    const { initialize } = create({ queueMaxSizes: [4] });
    expect((await initialize({ queues: [{ index: 0, size: 256 }] })).queue(0).size).toBe(4);
  });

  it("§3.1.1 notifies only after DRIVER_OK of what prepare put into a queue", async () => {
    const { initialize, host, device, memory } = create();
    const live = await initialize({
      prepare: (starting) => {
        const queue = starting.queue(0);
        queue.beginChain(2);
        queue.addReadable(0x8000, 4);
        queue.addWritable(0x9000, 4);
        queue.endChain("early");
        starting.publish(0);
        expect(host.stats.notifications).toBe(0);
      },
    });
    memory.write(guestAddress(0x8000), Uint8Array.of(1, 2, 3, 4));
    expect(host.stats).toMatchObject({ notifications: 1, driverFaults: 0 });
    host.poll();
    expect(device.answered).toBe(1);
    expect(live.queue(0).poll()).toBe("early");
  });

  it("§2.5.1 reads config again when the generation changed meanwhile", async () => {
    const { initialize, transport, device } = create();
    const live = await initialize();
    const original = transport.readConfig.bind(transport);
    let reads = 0;
    vi.spyOn(transport, "readConfig").mockImplementation((offset, length) => {
      const bytes = original(offset, length);
      if (++reads === 1) device.setConfig(Uint8Array.of(5, 5, 5, 5));
      return bytes;
    });
    expect(await live.readConfig(0, 4)).toEqual(Uint8Array.of(5, 5, 5, 5));
    expect(reads).toBe(2);
  });

  it("§2.5.1 gives up on a config space that never holds still", async () => {
    const { initialize, transport } = create();
    const live = await initialize();
    let generation = 0;
    vi.spyOn(transport, "readConfigGeneration").mockImplementation(() => generation++);
    await expect(live.readConfig(0, 4)).rejects.toMatchObject({ code: "ERR_DEVICE_BROKEN" });
  });

  it("§2.4 a reset returns what was in flight, once, and frees the rings", async () => {
    const { initialize, allocator } = create();
    const live = await initialize({ queues: [{ index: 0, size: 8, indirectSegments: 4 }] });
    expect(allocator.live).toBe(2);
    const queue = live.queue(0);
    queue.beginChain(1);
    queue.addReadable(0x8000, 4);
    queue.endChain("mine");
    live.publish(0);
    expect(await live.reset()).toEqual([["mine"]]);
    expect(await live.reset()).toEqual([[]]);
    expect(allocator.live).toBe(0);
    live.publish(0);
  });

  it("interrupts are noted, and ring the driver's loop", async () => {
    const ring = vi.fn();
    const interrupts = new InterruptFlags({ ring });
    const { initialize, device, host } = create();
    const live = await initialize({ interrupts });
    const queue = live.queue(0);
    queue.beginChain(1);
    queue.addReadable(0x8000, 4);
    queue.endChain("mine");
    live.publish(0);
    host.poll();
    expect(ring).toHaveBeenCalledTimes(1);
    expect([interrupts.takeQueueUsed(), interrupts.takeQueueUsed()]).toEqual([true, false]);
    device.setConfig(Uint8Array.of(1));
    expect([interrupts.takeConfigChanged(), interrupts.takeConfigChanged()]).toEqual([true, false]);
  });
});
