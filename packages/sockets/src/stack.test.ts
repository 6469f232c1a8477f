// The socket calls over the real driver, rings and device.
import { Heap } from "@toril/memory/allocator";
import { SystemError } from "@toril/virtio/platform";
import { port, type TxPath } from "@toril/vsock";
import type { GuestStream } from "@toril/vsock/device";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OwnedSocketCalls, Socket } from "./index.ts";
import { createStack, type Stack } from "./testing/index.ts";

let stack: Stack;
let calls: OwnedSocketCalls;

beforeEach(async () => {
  stack = await createStack();
  calls = stack.layer.callsFor();
});
afterEach(() => stack.loopback.driver.close());

function listening(at: number): Socket {
  const socket = calls.socket();
  calls.bind(socket, at);
  calls.listen(socket);
  return socket;
}

/** A connection of the guest with itself, through the host. */
async function pair(at = 80): Promise<{ client: Socket; server: Socket }> {
  const listener = listening(at);
  const client = calls.socket();
  const accepting = calls.accept(listener);
  await stack.settle(calls.connect(client, { cid: stack.relayCid, port: at }));
  return { client, server: await stack.settle(accepting) };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await stack.settle(
    promise.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
  return error instanceof SystemError ? error.code : String(error);
}

const paths: TxPath[] = ["two-copy", "one-copy", "zero-copy"];

describe("over the real driver and device", () => {
  it.each(paths)("megabytes arrive whole, by %s", async (txPath) => {
    const { client, server } = await pair();
    calls.setOption(client, "txPath", txPath);
    const size = 3_000_000;
    const sent = Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
    const sending = calls.send(client, sent).then(() => calls.shutdown(client, "send"));
    const got = new Uint8Array(size + 1);
    let length = 0;
    for (;;) {
      const count = await stack.settle(calls.recv(server, got.subarray(length)));
      if (count === 0) break;
      length += count;
    }
    await stack.settle(sending);
    expect(length).toBe(size);
    expect(Buffer.compare(got.subarray(0, size), sent)).toBe(0);
  });

  it("lent buffers come back once, and nothing of them was copied", async () => {
    const { client, server } = await pair();
    calls.setOption(client, "txPath", "zero-copy");
    const { heap } = stack.loopback;
    const buffer = heap.allocateDma(1_000_000);
    if (buffer === undefined) throw new Error("no memory");
    for (let index = 0; index < buffer.length; index++) buffer.writable[index] = index & 0xff;
    let returned = 0;
    const before = stack.loopback.driver.stats.txCopied.userToPacket;
    const slice = { buffer, offset: 0, length: buffer.length };
    const sending = calls.sendBuffer(client, slice, { onReturned: () => returned++ });
    const target = new Uint8Array(buffer.length);
    for (let length = 0; length < target.length; )
      length += await stack.settle(calls.recv(server, target.subarray(length)));
    expect(await stack.settle(sending)).toBe(buffer.length);
    stack.loopback.settle();
    expect([returned, buffer.state]).toEqual([1, "owned"]);
    expect(stack.loopback.driver.stats.txCopied.userToPacket).toBe(before);
    expect(Buffer.compare(target, buffer.bytes)).toBe(0);
    buffer.free();
    expect(heap).toBeInstanceOf(Heap);
  });

  it("recv tells empty from closed, and unread data survives", async () => {
    const { client, server } = await pair();
    await stack.settle(calls.send(client, new Uint8Array([1, 2, 3])));
    calls.close(client);
    stack.loopback.settle();
    expect(await stack.settle(calls.recv(server, new Uint8Array(10)))).toBe(3);
    expect(await stack.settle(calls.recv(server, new Uint8Array(10)))).toBe(0);
  });

  it("nobody listens: ECONNREFUSED or a reset, by a host that accepts first", async () => {
    stack.loopback.device.listen(port(9), () => undefined);
    expect(await codeOf(calls.connect(calls.socket(), { cid: stack.relayCid, port: 9 }))).toBe("ECONNREFUSED");
  });

  it("regression: a writer is woken when the host takes no more", async () => {
    let host: GuestStream | undefined;
    stack.loopback.device.listen(port(7), (stream) => {
      host = stream;
      return { data: () => {}, end: () => {}, drain: () => {}, closed: () => {} };
    });
    const socket = calls.socket();
    await stack.settle(calls.connect(socket, { cid: stack.relayCid, port: 7 }));
    // The handler never releases: in the end there is no credit left.
    while (calls.trySend(socket, new Uint8Array(4096)) > 0) stack.loopback.settle();
    const waiting = calls.select({ write: [socket] });
    stack.loopback.settle();
    expect(calls.waiting).toBe(1);
    host?.endReceive();
    expect((await stack.settle(waiting)).writable).toEqual([socket]);
    expect(await codeOf(calls.send(socket, new Uint8Array(1)))).toBe("EPIPE");
  });

  it("regression: a driver that is closed ends what waits to accept, too", async () => {
    const [first, second] = [listening(80), listening(81)];
    const waits = [calls.accept(first), calls.accept(first), calls.accept(second)];
    const selecting = calls.select({ read: [second] });
    await stack.loopback.driver.close();
    expect(await Promise.all(waits.map(codeOf))).toEqual(["ENETDOWN", "ENETDOWN", "ENETDOWN"]);
    expect((await stack.settle(selecting)).readable).toEqual([second]);
    expect(await codeOf(calls.accept(first))).toBe("ENETDOWN");
    expect(calls.waiting).toBe(0);
  });

  it("a driver that is closed ends what waits on its connections", async () => {
    const { server } = await pair();
    const waits = [
      calls.recv(server, new Uint8Array(1)),
      calls.connect(calls.socket(), { cid: stack.relayCid, port: 82 }),
    ];
    const selecting = calls.select({ read: [server] });
    await stack.loopback.driver.close();
    expect(await Promise.all(waits.map(codeOf))).toEqual(["ENETDOWN", "ENETDOWN"]);
    expect((await stack.settle(selecting)).readable).toEqual([server]);
    expect(calls.waiting).toBe(0);
  });

  it("many connections at once, each with its own bytes", async () => {
    const listener = listening(80);
    const rounds = Array.from({ length: 60 }, async (_, index) => {
      const client = calls.socket();
      await calls.connect(client, { cid: stack.relayCid, port: 80 });
      await calls.send(client, new Uint8Array(5000).fill(index));
      calls.shutdown(client, "send");
      const target = new Uint8Array(6000);
      let length = 0;
      for (let count = 1; count > 0; length += count) count = await calls.recv(client, target.subarray(length));
      calls.close(client);
      return length === 5000 && target.subarray(0, 5000).every((byte) => byte === index);
    });
    const echo = (async () => {
      for (let left = rounds.length; left > 0; left--) {
        const socket = await calls.accept(listener);
        void (async () => {
          for (;;) {
            const bytes = await calls.borrow(socket);
            if (bytes === undefined) break;
            await calls.send(socket, bytes.bytes);
            bytes.release();
          }
          calls.close(socket);
        })();
      }
    })();
    expect(await stack.settle(Promise.all(rounds))).toEqual(rounds.map(() => true));
    await stack.settle(echo);
    expect(calls.closeAll()).toBe(1);
  });
});
