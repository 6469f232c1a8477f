import { GuestMemory, guestAddress } from "@toril/memory";
import { DeviceHost } from "@toril/virtio";
import { BumpAllocator, EchoDevice, transportCompliance } from "@toril/virtio/testing";
import { describe, it } from "vitest";
import { SimulatedTransport, Simulation, type TransportBehaviour } from "./index.ts";

const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const BEHAVIOURS: Record<string, (simulation: Simulation) => TransportBehaviour> = {
  "at once": () => ({}),
  "late bells, slow registers": (simulation) => {
    const random = simulation.random("behaviour");
    return { bellMs: () => random.next(5), registerMs: () => random.next(3) };
  },
};

describe.each(Object.entries(BEHAVIOURS))("a simulated transport, %s", (_name, behave) => {
  const cases = transportCompliance((options) => {
    const simulation = new Simulation({ seed: 1, drained });
    const memory = GuestMemory.allocate({ size: 2 ** 20 });
    const device = new EchoDevice(options);
    const host = new DeviceHost({ device, memory });
    const transport = new SimulatedTransport(simulation, "echo", host, behave(simulation));
    // The suite awaits register accesses without settling: the world must go on by itself meanwhile.
    const going = setInterval(() => void simulation.quiet(10), 0);
    return {
      transport,
      allocator: new BumpAllocator(memory, guestAddress(0)),
      settle: async () => {
        while (host.poll());
        if (host.arm()) host.poll();
        await simulation.quiet(10);
      },
      setConfig: (config) => device.setConfig(config),
      breakDevice: (reason) => device.context?.needsReset(reason),
      dispose: () => clearInterval(going),
    };
  });
  for (const { title, run } of cases) it(title, run);
});
