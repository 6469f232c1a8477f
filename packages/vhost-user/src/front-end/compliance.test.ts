/** The transport compliance suite over vhost-user: front-end and back-end are ours, sockets, memfd and eventfds are real. */
import { guestAddress } from "@toril/memory";
import { BumpAllocator, ECHO_DEVICE_TYPE, EchoDevice, transportCompliance } from "@toril/virtio/testing";
import { describe, it } from "vitest";
import { BACK_END_FEATURES, BackEndSession } from "../back-end/session.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { ProtocolFeature, protocolBits } from "../protocol/message.ts";
import { listenForTest } from "../testing/listener.ts";
import { connectFrontEnd } from "./transport.ts";

const { STATUS, RESET_DEVICE } = ProtocolFeature;
const variants = [
  ["everything negotiated, by the event loop", "event-loop", BACK_END_FEATURES],
  ["everything negotiated, polled", "polled", BACK_END_FEATURES],
  ["without STATUS", "event-loop", BACK_END_FEATURES & ~protocolBits(STATUS)],
  ["without STATUS and RESET_DEVICE", "event-loop", BACK_END_FEATURES & ~protocolBits(STATUS, RESET_DEVICE)],
] as const;

describe.each(variants)("VhostUserTransport, %s: compliance", (_name, interrupts, protocolFeatures) => {
  const cases = transportCompliance(async (options) => {
    const device = new EchoDevice(options);
    const listener = listenForTest((fd) => new BackEndSession({ fd, device, protocolFeatures }));
    const memory = new MemfdMemory(1 << 20);
    const transport = await connectFrontEnd({
      ...{ socketPath: listener.path, deviceType: ECHO_DEVICE_TYPE, memory, interrupts },
      maxQueueSizes: options.queueMaxSizes ?? [64],
    });
    const settle = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      transport.arm();
    };
    /** Without STATUS a back-end learns from the first kick that the driver is there. */
    const live = async (): Promise<void> => {
      for (let i = 0; i < 100 && device.context === undefined; i++) await settle();
    };
    return {
      transport,
      allocator: new BumpAllocator(memory.guest, guestAddress(4096)),
      settle,
      setConfig: async (config) => {
        await live();
        device.setConfig(config);
      },
      breakDevice: async (reason) => {
        await live();
        device.context?.needsReset(reason);
      },
      dispose: async () => {
        await transport.close();
        memory.close();
        listener.close();
      },
    };
  });
  for (const { title, run } of cases) it(title, run);
});
