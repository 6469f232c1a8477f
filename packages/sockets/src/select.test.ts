import { SystemError } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type OwnedSocketCalls, type Socket, SocketLayer } from "./index.ts";
import { type MemoryDriver, MemoryNetwork } from "./testing/index.ts";

const GUEST = 3;
let network: MemoryNetwork;
let clock: VirtualClock;
let guestDriver: MemoryDriver;
let guest: OwnedSocketCalls;
let host: OwnedSocketCalls;
const one = new Uint8Array([1]);

beforeEach(() => {
  network = new MemoryNetwork();
  clock = new VirtualClock();
  guestDriver = network.driver(GUEST);
  guest = new SocketLayer({ driver: guestDriver, clock }).callsFor();
  host = new SocketLayer({ driver: network.driver(2), clock }).callsFor();
});

async function pairs(count: number): Promise<{ mine: Socket[]; theirs: Socket[]; listener: Socket }> {
  const listener = guest.socket();
  guest.bind(listener, 80);
  guest.listen(listener, count);
  const theirs = Array.from({ length: count }, () => host.socket());
  const mine: Socket[] = [];
  for (const socket of theirs) {
    await network.settle(host.connect(socket, { cid: GUEST, port: 80 }));
    mine.push(await guest.accept(listener));
  }
  return { mine, theirs, listener };
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index}`);
  return item;
}

describe("select", () => {
  it("returns what is ready now, or an empty result after its timeout", async () => {
    const { mine } = await pairs(2);
    expect(guest.trySelect({ read: mine, write: mine })).toEqual({ readable: [], writable: mine });
    expect((await guest.select({ read: mine, write: mine })).writable).toEqual(mine);
    expect(await guest.select({ read: mine }, { timeoutMs: 0 })).toEqual({ readable: [], writable: [] });
    const waiting = guest.select({ read: mine }, { timeoutMs: 5 });
    await network.quiet();
    clock.advance(5);
    expect(await network.settle(waiting)).toEqual({ readable: [], writable: [] });
  });

  it("wakes for data, the end, and a new connection", async () => {
    const { mine, theirs, listener } = await pairs(2);
    const data = guest.select({ read: [...mine, listener] });
    await network.settle(host.send(at(theirs, 1), one));
    expect((await network.settle(data)).readable).toEqual([at(mine, 1)]);
    guest.tryRecv(at(mine, 1), new Uint8Array(1));

    const end = guest.select({ read: [...mine, listener] });
    host.shutdown(at(theirs, 0), "send");
    expect((await network.settle(end)).readable).toEqual([at(mine, 0)]);
    expect(guest.tryRecv(at(mine, 0), new Uint8Array(1))).toBe(0);

    const connection = guest.select({ read: [at(mine, 1), listener] });
    await network.settle(host.connect(host.socket(), { cid: GUEST, port: 80 }));
    expect((await network.settle(connection)).readable).toEqual([listener]);
  });

  it("wakes for room to send, also when no send had failed before", async () => {
    const { mine, theirs } = await pairs(1);
    host.setOption(at(theirs, 0), "bufferSize", 4);
    expect(guest.trySend(at(mine, 0), new Uint8Array(4))).toBe(4);
    const room = guest.select({ write: mine });
    await network.quiet();
    host.tryRecv(at(theirs, 0), new Uint8Array(2));
    expect((await network.settle(room)).writable).toEqual(mine);
  });

  it("regression: wakes a writer whose peer takes no more", async () => {
    const { mine, theirs } = await pairs(1);
    host.setOption(at(theirs, 0), "bufferSize", 1);
    expect(guest.trySend(at(mine, 0), one)).toBe(1);
    const room = guest.select({ write: mine });
    await network.quiet();
    host.shutdown(at(theirs, 0), "receive");
    expect((await network.settle(room)).writable).toEqual(mine);
  });

  it("reports together what became ready in the same turn", async () => {
    const { mine, theirs } = await pairs(50);
    const waiting = guest.select({ read: mine });
    for (const index of [7, 3, 49]) expect(host.trySend(at(theirs, index), one)).toBe(1);
    const { readable } = await network.settle(waiting);
    expect(new Set(readable)).toEqual(new Set([at(mine, 7), at(mine, 3), at(mine, 49)]));
  });

  it("goes on waiting when another thread took the bytes first", async () => {
    const { mine, theirs } = await pairs(1);
    const taker = guest.recv(at(mine, 0), new Uint8Array(8));
    let woken = "no";
    const waiting = guest.select({ read: mine }).then((ready) => {
      woken = "yes";
      return ready;
    });
    await network.settle(host.send(at(theirs, 0), one));
    expect(await network.settle(taker)).toBe(1);
    await network.quiet();
    expect(woken).toBe("no");
    await network.settle(host.send(at(theirs, 0), one));
    expect((await network.settle(waiting)).readable).toEqual(mine);
  });

  it("leaves no watcher behind: the work of an event does not grow with earlier selects", async () => {
    const { mine, theirs } = await pairs(3);
    for (let round = 0; round < 20; round++) {
      const waiting = guest.select({ read: mine, write: [] }, { timeoutMs: 100 });
      expect(guest.waiting).toBe(1);
      await network.settle(host.send(at(theirs, round % 3), one));
      await network.settle(waiting);
      guest.tryRecv(at(mine, round % 3), new Uint8Array(1));
    }
    expect([guest.waiting, clock.pending]).toEqual([0, 0]);
  });

  it("is EBADF for a closed socket", async () => {
    const { mine } = await pairs(1);
    guest.close(at(mine, 0));
    await expect(guest.select({ read: mine })).rejects.toThrow(SystemError);
  });
});
