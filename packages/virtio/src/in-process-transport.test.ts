import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { DeviceHost } from "./device-host.ts";
import { InProcessTransport } from "./in-process-transport.ts";
import { BumpAllocator, EchoDevice, transportCompliance } from "./testing/index.ts";

describe("InProcessTransport: compliance", () => {
  const cases = transportCompliance((options) => {
    const memory = GuestMemory.allocate({ size: 1 << 20 });
    const device = new EchoDevice(options);
    let rings = 0;
    const host = new DeviceHost({ device, memory, doorbell: { ring: () => void rings++ } });
    const transport = new InProcessTransport(host);
    return {
      transport,
      allocator: new BumpAllocator(memory, guestAddress(4_096)),
      // The device's side of a loop that sleeps: it polls only when rung, or when arming finds work.
      settle: () => {
        if (rings === 0) return;
        rings = 0;
        while (host.poll() || host.arm()) {}
      },
      setConfig: (config) => device.setConfig(config),
      breakDevice: (reason) => device.context?.needsReset(reason),
      dispose: () => transport.close(),
    };
  });
  for (const { title, run } of cases) it(title, run);
});

describe("InProcessTransport", () => {
  const createHost = (): { host: DeviceHost; device: EchoDevice } => {
    const device = new EchoDevice();
    return { host: new DeviceHost({ device, memory: GuestMemory.allocate({ size: 65_536 }) }), device };
  };

  it("has one driver at a time", () => {
    const { host } = createHost();
    const first = new InProcessTransport(host);
    expect(() => new InProcessTransport(host)).toThrow(/has a driver already/);
    first.close();
    expect(new InProcessTransport(host).readStatus()).toBe(0);
  });

  it("is of no use once closed, but may be notified and closed again", () => {
    const { host } = createHost();
    const transport = new InProcessTransport(host);
    transport.close();
    transport.close();
    transport.notify(0);
    expect(() => transport.readStatus()).toThrow(/is closed/);
    expect(host.stats.notifications).toBe(0);
  });
});
