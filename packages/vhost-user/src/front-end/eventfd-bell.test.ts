import { once } from "node:events";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { guestAddress } from "@toril/memory";
import { DeviceType, initializeDevice } from "@toril/virtio";
import { BumpAllocator } from "@toril/virtio/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startVirtiofsd } from "../daemons/virtiofsd.ts";
import { Eventfd } from "../ffi/eventfd.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { needPeer, virtiofsdPeer } from "../testing/peers.ts";
import { EventfdBell, ringEventfd } from "./eventfd-bell.ts";
import { virtioFsConfig } from "./options.ts";
import { connectFrontEnd } from "./transport.ts";

vi.setConfig({ testTimeout: 60_000 });

let bell: EventfdBell;
beforeEach(() => {
  bell = new EventfdBell();
});
afterEach(() => bell.close());

describe("EventfdBell", () => {
  it("waits no longer than it was told, and does not wait after a ring", () => {
    const seen = bell.read();
    expect(bell.wait(seen, 5)).toBe("timed-out");
    bell.ring();
    expect(bell.wait(seen, 60_000)).toBe("rung");
    expect(bell.wait(bell.read(), 0)).toBe("timed-out");
  });

  it("an interrupt that came before the wait ends it, until it is drained", () => {
    const eventfd = new Eventfd();
    bell.attach({ interruptFds: [eventfd.fd] });
    eventfd.ring();
    expect(bell.wait(bell.read(), 60_000)).toBe("rung");
    expect(bell.wait(bell.read(), 60_000)).toBe("rung");
    expect(eventfd.drain()).toBe(true);
    expect(bell.wait(bell.read(), 0)).toBe("timed-out");
    eventfd.close();
  });

  it("is rung by another thread while this one blocks", async () => {
    const koffi = createRequire(import.meta.url).resolve("koffi");
    const code = `
      const { parentPort, workerData: { koffi, fd } } = require("node:worker_threads");
      const write = require(koffi).load("libc.so.6").func("int64_t write(int fd, const uint8_t *bytes, size_t length)");
      parentPort.postMessage("loaded");
      setTimeout(() => write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8), 20);`;
    const worker = new Worker(code, { eval: true, execArgv: [], workerData: { koffi, fd: bell.fd } });
    // To load modules a thread may need this one.
    await once(worker, "message");
    expect(bell.wait(bell.read(), 60_000)).toBe("rung");
    await once(worker, "exit");
    ringEventfd(bell.fd);
    expect(bell.wait(bell.read(), 60_000)).toBe("rung");
  });

  it("a loop that does not block is called back once: by this thread, by another one, for a ring that it missed", async () => {
    const rung = (count: number, ring: () => void): Promise<void> =>
      new Promise((resolve) => {
        bell.onRing(count, resolve);
        ring();
      });
    await rung(bell.read(), () => bell.ring());
    await rung(bell.read(), () => ringEventfd(bell.fd));
    const missed = bell.read();
    bell.ring();
    await rung(missed, () => {});
    let calls = 0;
    const wait = bell.onRing(bell.read(), () => calls++);
    wait.cancel();
    bell.ring();
    bell.onRing(bell.read(), () => calls++);
    bell.ring();
    bell.ring();
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(1);
  });

  it("a thread that blocks gets a daemon's answer: FUSE INIT, in the polled mode", async (context) => {
    const peer = virtiofsdPeer("c");
    needPeer(peer, context);
    const daemon = await startVirtiofsd({ directory: "/tmp", command: peer.command });
    const memory = new MemfdMemory(1 << 20);
    const options = { socketPath: daemon.socketPath, memory, deviceType: DeviceType.FileSystem };
    const transport = await connectFrontEnd({ ...options, interrupts: "polled", config: virtioFsConfig("host") });
    const allocator = new BumpAllocator(memory.guest, guestAddress(4096));
    const queues = [0, 1].map((index) => ({ index, size: 16 }));
    const device = await initializeDevice<string>(transport, { type: DeviceType.FileSystem, queues, allocator });
    bell.attach(transport);
    // fuse_in_header and fuse_init_in of FUSE 7.31: answered by a header and fuse_init_out.
    const buffer = allocator.allocateDma(256);
    if (buffer === undefined) throw new Error("no memory");
    const request = new Uint32Array(26);
    request.set([104, 26, 1]);
    request.set([7, 31, 65_536], 10);
    buffer.writable.set(new Uint8Array(request.buffer));
    const queue = device.queue(1);
    queue.beginChain(2);
    queue.addReadable(buffer.address, 104);
    queue.addWritable(buffer.address + 104, 80);
    queue.endChain("init");
    device.publish(1);
    // From here on this thread never lets Node's event loop run.
    let answered: string | undefined;
    for (let waits = 0; answered === undefined && waits < 1_000; waits++) {
      const seen = bell.read();
      answered = queue.poll();
      if (answered !== undefined || queue.armUsedNotifications() || transport.arm()) continue;
      expect(bell.wait(seen, 10_000)).toBe("rung");
    }
    expect(answered).toBe("init");
    const reply = buffer.bytes.slice(104, 104 + 16);
    expect(new Int32Array(reply.buffer)[1]).toBe(0);
    bell.detach(transport);
    await device.reset();
    await transport.close();
    await daemon.stop();
    memory.close();
  });
});
