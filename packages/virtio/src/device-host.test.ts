import { GuestMemory, guestAddress } from "@toril/memory";
import { layoutAt, type QueueLayout } from "@toril/virtqueue";
import { describe, expect, it, vi } from "vitest";
import { DeviceHost } from "./device-host.ts";
import { DeviceStatus } from "./device-status.ts";
import { Feature, featureBit, RING_FEATURES } from "./features.ts";
import { EchoDevice, type EchoOptions } from "./testing/index.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED } = DeviceStatus;
const VERSION_1 = featureBit(Feature.VERSION_1);

function create(options: EchoOptions = {}) {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const device = new EchoDevice(options);
  const ring = vi.fn();
  const host = new DeviceHost({ device, memory, doorbell: { ring } });
  const driver = { queueUsed: vi.fn(), configChanged: vi.fn() };
  host.onInterrupt(driver);
  const layout = layoutAt(guestAddress(0), 8);
  const negotiate = (features = VERSION_1): void => {
    host.writeStatus(ACKNOWLEDGE);
    host.writeStatus(ACKNOWLEDGE | DRIVER);
    host.writeDriverFeatures(features);
    host.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  };
  const start = (): void => {
    negotiate();
    host.enableQueue(0, layout);
    host.writeStatus(host.status | DRIVER_OK);
  };
  return { memory, device, host, ring, driver, layout, negotiate, start };
}

describe("DeviceHost", () => {
  it("§2.2 offers the device's features, those of the rings and VERSION_1", () => {
    expect(create().host.offeredFeatures).toBe(0b11n | RING_FEATURES | VERSION_1);
  });

  it("§2.2 does not let a device offer bits that are the host's", () => {
    const device = Object.assign(new EchoDevice(), { offeredFeatures: featureBit(Feature.RING_PACKED) });
    expect(() => new DeviceHost({ device, memory: GuestMemory.allocate({ size: 65_536 }) })).toThrow(/RING_PACKED/);
  });

  it("§3.1.1 activates the device at DRIVER_OK, with the queues that were enabled", () => {
    const { device, start } = create({ queueMaxSizes: [8, 8] });
    start();
    expect(device.activations).toBe(1);
    expect(device.context?.features).toBe(VERSION_1);
    expect(device.context?.queues.map((queue) => queue?.size)).toEqual([8, undefined]);
  });

  it("§3.1.1 takes features only between DRIVER and FEATURES_OK", () => {
    const { host, negotiate } = create();
    expect(host.writeDriverFeatures(VERSION_1)?.section).toBe("3.1.1");
    negotiate();
    expect(host.writeDriverFeatures(0n)?.section).toBe("3.1.1");
    expect(host.driverFeatures).toBe(VERSION_1);
  });

  it("§3.1.1 takes queues only between FEATURES_OK and DRIVER_OK", () => {
    const { host, layout, start } = create();
    expect(host.enableQueue(0, layout)?.section).toBe("3.1.1");
    start();
    expect(host.enableQueue(0, layout)?.section).toBe("3.1.1");
  });

  it("§2.7 refuses queues that are not there, too large, odd, misaligned or outside of guest memory", () => {
    const { host, layout, negotiate, device } = create({ queueMaxSizes: [8] });
    negotiate();
    const bad: [number, QueueLayout][] = [
      [1, layout],
      [-1, layout],
      [0, layoutAt(guestAddress(0), 16)],
      [0, { ...layout, size: 3 }],
      [0, { ...layout, size: 0 }],
      [0, { ...layout, descriptorTable: guestAddress(8) }],
      [0, { ...layout, availableRing: guestAddress(1) }],
      [0, { ...layout, usedRing: guestAddress(2) }],
      [0, { ...layout, descriptorTable: guestAddress(65_536 - 112) }],
      [0, { ...layout, usedRing: guestAddress(2 ** 52) }],
    ];
    for (const [index, where] of bad) expect(host.enableQueue(index, where)?.section).toBe("2.7");
    host.writeStatus(host.status | DRIVER_OK);
    expect(device.context?.queues).toEqual([undefined]);
    expect(host.stats.driverFaults).toBe(bad.length);
  });

  it("§3.1.1 rings nobody for a notification before DRIVER_OK, and counts it as a fault", () => {
    const { host, ring, negotiate } = create();
    negotiate();
    host.notify(0);
    expect(ring).not.toHaveBeenCalled();
    expect(host.lastFault?.section).toBe("3.1.1");
  });

  it("a notification rings, and never runs the device", () => {
    const { host, ring, device, start } = create();
    start();
    ring.mockClear();
    const poll = vi.spyOn(device, "poll");
    host.notify(0);
    host.notify(7);
    expect(ring).toHaveBeenCalledTimes(1);
    expect(poll).not.toHaveBeenCalled();
  });

  it("§2.4.1 a stale context interrupts and wakes nobody", () => {
    const { host, device, driver, ring, start } = create();
    start();
    const stale = device.context;
    host.writeStatus(0);
    ring.mockClear();
    stale?.interrupt(0);
    stale?.configChanged();
    stale?.wake();
    stale?.needsReset("too late");
    expect(driver.queueUsed).not.toHaveBeenCalled();
    expect(driver.configChanged).not.toHaveBeenCalled();
    expect(ring).not.toHaveBeenCalled();
    expect(host.status).toBe(0);
    expect(device.resets).toBe(1);
    expect(host.poll()).toBe(false);
  });

  it("§2.1.1 a driver that gives up stops the device, once", () => {
    const { host, device, start } = create();
    start();
    host.writeStatus(host.status | FAILED);
    expect(device.context).toBeUndefined();
    host.writeStatus(0);
    expect(device.resets).toBe(1);
    start();
    expect(device.activations).toBe(2);
  });

  it("§2.1.2 a device that throws needs a reset; the loop that polls it does not hear of it", () => {
    const { host, device, driver, start } = create();
    start();
    vi.spyOn(device, "poll").mockImplementation(() => {
      throw new Error("a bug");
    });
    expect(host.poll()).toBe(true);
    expect(host.status & DEVICE_NEEDS_RESET).not.toBe(0);
    expect(driver.configChanged).toHaveBeenCalledTimes(1);
    expect(host.poll()).toBe(false);
    expect(host.arm()).toBe(false);
    host.writeStatus(0);
    expect(device.resets).toBe(1);
  });

  it("§2.1.2 a device that cannot start needs a reset", () => {
    const { host, device, start } = create();
    vi.spyOn(device, "activate").mockImplementation(() => {
      throw new Error("no");
    });
    start();
    expect(host.status & DEVICE_NEEDS_RESET).not.toBe(0);
  });

  it("§2.7.13 a driver that breaks a queue breaks the device, whatever the device does about it", () => {
    const { memory, host, layout, start } = create();
    start();
    // avail.idx jumps by more than the queue has entries.
    new Uint16Array(memory.bytes(layout.availableRing, 4).slice().buffer);
    memory.write(guestAddress(layout.availableRing + 2), Uint8Array.of(100, 0));
    host.poll();
    expect(host.status & DEVICE_NEEDS_RESET).not.toBe(0);
  });

  it("§2.5.2 the generation changes when the device changes its config without a word", () => {
    const { host, device } = create();
    const before = host.configGeneration;
    expect(host.configGeneration).toBe(before);
    device.writeConfig(0, Uint8Array.of(200));
    expect(host.configGeneration).not.toBe(before);
  });

  it("§2.5 config accesses beyond any measure are harmless", () => {
    const { host, negotiate } = create();
    negotiate();
    expect(host.readConfig(-4, 8)).toEqual(new Uint8Array(8));
    expect(host.readConfig(2 ** 40, 1)).toEqual(new Uint8Array(1));
    expect(host.readConfig(0, Number.NaN)).toEqual(new Uint8Array(0));
    expect(host.readConfig(0, 2 ** 40).length).toBe(4_096);
    expect(host.writeConfig(15, Uint8Array.of(1, 2))?.section).toBe("2.5");
    expect(host.writeConfig(-1, Uint8Array.of(1))?.section).toBe("2.5");
  });
});
