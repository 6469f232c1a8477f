/** INFLIGHT_SHMFD, where it is offered: asked for, checked, and handed back before the queues start. */
import { readdirSync } from "node:fs";
import { guestAddress } from "@toril/memory";
import { initializeDevice } from "@toril/virtio";
import { BumpAllocator } from "@toril/virtio/testing";
import { describe, expect, it } from "vitest";
import { libc } from "../ffi/libc.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { encodeMessage, ProtocolFeature, protocolBits, Request, requestName } from "../protocol/message.ts";
import { inflight, readInflight } from "../protocol/payloads.ts";
import { FakeBackEnd } from "../testing/fake-back-end.ts";
import { connectFrontEnd } from "./transport.ts";

const { REPLY_ACK, INFLIGHT_SHMFD } = ProtocolFeature;
const TYPE = 65_000;

/** Brings a device up on a back-end that answers GET_INFLIGHT_FD like this; what it was asked after that. */
async function bringUp(mmapSize: bigint, fds: number): Promise<FakeBackEnd["received"]> {
  libc();
  const before = readdirSync("/proc/self/fd").length;
  const payload = inflight({ mmapSize, mmapOffset: 4096n, queues: 1, queueSize: 8 });
  const bytes = encodeMessage(Request.GetInflightFd, payload, "reply");
  const fake = new FakeBackEnd({
    protocol: protocolBits(REPLY_ACK, INFLIGHT_SHMFD),
    acts: { [Request.GetInflightFd]: { kind: "bytes", bytes, fds } },
  });
  const memory = new MemfdMemory(1 << 20);
  const transport = await connectFrontEnd({ socketPath: fake.path, memory, deviceType: TYPE });
  try {
    const allocator = new BumpAllocator(memory.guest, guestAddress(4096));
    await initializeDevice(transport, { type: TYPE, queues: [{ index: 0, size: 8 }], allocator });
    return fake.received;
  } finally {
    await transport.close();
    fake.close();
    memory.close();
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  }
}

describe("INFLIGHT_SHMFD", () => {
  it("is handed back as it was given, with its descriptor, before any queue", async () => {
    const received = await bringUp(8192n, 1);
    const names = received.map(({ request }) => requestName(request));
    const at = names.indexOf("SET_INFLIGHT_FD");
    expect(at).toBeGreaterThan(names.indexOf("SET_MEM_TABLE"));
    expect(at).toBeLessThan(names.indexOf("SET_VRING_NUM"));
    const given = received[at];
    expect(given?.fds).toHaveLength(1);
    const expected = { mmapSize: 8192n, mmapOffset: 4096n, queues: 1, queueSize: 8 };
    expect(readInflight(given?.payload ?? new Uint8Array(0))).toEqual(expected);
  });

  it.each([
    ["no descriptor", 8192n, 0],
    ["two descriptors", 8192n, 2],
    ["no size", 0n, 1],
    ["a size beyond reason", 2n ** 40n, 1],
  ])("an answer with %s ends the connection, and every descriptor is closed", async (_name, size, fds) => {
    await expect(bringUp(size, fds)).rejects.toThrow(/GET_INFLIGHT_FD/);
  });
});
