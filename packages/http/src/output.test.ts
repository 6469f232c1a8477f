import { type DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { describe, expect, it } from "vitest";
import type { LentBody, LentPiece } from "./index.ts";
import { get, Harness } from "./testing/harness.ts";

const LENGTH = 100;

/** A small body whose one piece comes when the test says so. */
function lateBody(buffer: DmaBuffer) {
  const log: string[] = [];
  let settle: { resolve(piece: LentPiece): void; reject(error: Error): void } | undefined;
  const body: LentBody = {
    length: LENGTH,
    next: () => new Promise((resolve, reject) => (settle = { resolve, reject })),
    close: () => void log.push("close"),
  };
  const piece: LentPiece = { buffer, offset: 0, length: LENGTH, done: () => void log.push("done") };
  return { body, log, arrive: () => settle?.resolve(piece), fail: () => settle?.reject(new Error("EIO")) };
}

/** A client that takes a few bytes of the head and goes, while the body's first piece is still being read. */
async function cutOffInTheHead(late: ReturnType<typeof lateBody>): Promise<Harness> {
  const harness = new Harness(() => ({ status: 200, body: late.body }));
  const client = await harness.connect();
  client.calls.setOption(client.socket, "bufferSize", 10);
  client.send(get("/"));
  await harness.network.quiet();
  client.calls.abort(client.socket);
  await harness.network.quiet();
  return harness;
}

describe("a head that cannot be sent", () => {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const heap = new Heap({ memory, base: guestAddress(0), size: memory.size });
  const buffer = heap.allocateDma(LENGTH);
  if (buffer === undefined) throw new Error("no memory");

  it("leaves no piece of its body behind: one that comes later goes back (found by simulation, seed 311)", async () => {
    const late = lateBody(buffer);
    const harness = await cutOffInTheHead(late);
    late.arrive();
    await harness.network.quiet();
    expect(late.log.sort()).toEqual(["close", "done"]);
    expect(harness.access).toMatchObject([{ outcome: "cut-off" }]);
  });

  it("hears of a piece that fails meanwhile: no rejection is left alone (found by simulation, seed 262)", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown): void => void rejections.push(reason);
    process.on("unhandledRejection", note);
    const late = lateBody(buffer);
    const harness = await cutOffInTheHead(late);
    late.fail();
    await harness.network.quiet();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(rejections).toEqual([]);
    expect(late.log).toEqual(["close"]);
  });
});
