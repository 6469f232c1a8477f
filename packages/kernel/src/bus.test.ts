import { GuestMemory, guestAddress } from "@toril/memory";
import { type Log, silentLog } from "@toril/virtio/platform";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type BootedCore, bootCore } from "./boot.ts";
import { busBytes, busShape, channelPlace, clearBus } from "./bus-layout.ts";
import { CoreBoard } from "./core-board.ts";
import { runDeterministic, VirtualTime } from "./deterministic-loop.ts";
import type { PlainSystem, ThreadCalls } from "./thread-calls.ts";

const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
type Booted = BootedCore<PlainSystem>;

/** All cores in this thread, in virtual time; modules are looked up in a table. */
function machine(cores: number, modules: Record<string, unknown> = {}, log: Log = silentLog) {
  const memory = GuestMemory.allocate({ size: 4 << 20 });
  const shape = busShape(cores, { slots: 4, slotBytes: 128 });
  const place = { shape, base: guestAddress(0) };
  clearBus(memory, place);
  const board = CoreBoard.create(cores);
  const time = new VirtualTime();
  const booted = Array.from(
    { length: cores },
    (_, id): Booted =>
      bootCore<PlainSystem>({
        id,
        memory,
        heap: { base: guestAddress((1 << 20) + id * (256 << 10)), size: 256 << 10 },
        neighbours: { board, bus: place },
        now: time.now,
        log,
        system: (threads) => ({ threads }),
        load: async (module) => {
          if (!(module in modules)) throw new Error("no such module");
          return modules[module];
        },
      }),
  );
  const core = (id: number): Booted => booted[id] as Booted;
  const bus = (id: number) => {
    const end = core(id).bus;
    if (end === undefined) throw new Error("no bus");
    return end;
  };
  const run = (only = booted) =>
    runDeterministic(
      only.map((one) => one.core),
      { time, drained },
    );
  /** Runs one thread's main to its end. */
  const onCore = async <T>(id: number, main: (threads: ThreadCalls) => Promise<T>): Promise<T> => {
    const handle = core(id).core.spawn(({ threads }) => main(threads));
    await run();
    if (handle.exit?.kind !== "returned") throw handle.exit?.kind === "failed" ? handle.exit.error : new Error("hangs");
    return handle.exit.value;
  };
  return { memory, board, place, booted, core, bus, run, onCore, time };
}

describe("the bus: layout", () => {
  it("gives every ordered pair of cores its own memory, within busBytes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }),
        fc.constantFrom(1, 4, 16),
        fc.constantFrom(64, 4_096),
        (cores, slots, slotBytes) => {
          const shape = busShape(cores, { slots, slotBytes });
          const ranges: [number, number][] = [];
          for (let from = 0; from < cores; from++) {
            for (let to = 0; to < cores; to++) {
              if (from === to) continue;
              for (const name of ["control", "data"] as const) {
                const { layout, slots: first } = channelPlace({ shape, base: guestAddress(0) }, from, to, name);
                ranges.push([layout.descriptorTable, first + shape[name].slots * shape[name].slotBytes]);
              }
            }
          }
          ranges.sort((a, b) => a[0] - b[0]);
          for (const [i, [start]] of ranges.entries()) expect(start).toBeGreaterThanOrEqual(ranges[i - 1]?.[1] ?? 0);
          expect(ranges.at(-1)?.[1]).toBeLessThanOrEqual(busBytes(shape));
        },
      ),
    );
  });

  it("refuses shapes that make no sense", () => {
    expect(() => busShape(0)).toThrow(RangeError);
    expect(() => busShape(2, { slots: 3, slotBytes: 64 })).toThrow(/power of two/);
    expect(() => busShape(2, { slots: 4, slotBytes: 100 })).toThrow(/multiple of 64/);
  });
});

describe("the bus: messages", () => {
  it("carries copies, in order, through many wraps, and waits when the channel is full", async () => {
    const { core, bus, run } = machine(2);
    const scratch = new Uint8Array(4);
    const words = new Uint32Array(scratch.buffer);
    const sender = core(0).core.spawn(async ({ threads }) => {
      const calls = bus(0).callsFor(threads);
      for (let i = 0; i < 1_000; i++) {
        words[0] = i; // the same buffer each time: a message is a copy
        await calls.send(1, scratch);
      }
    });
    const got: number[] = [];
    core(1).core.spawn(async ({ threads }) => {
      const calls = bus(1).callsFor(threads);
      for (let i = 0; i < 1_000; i++) {
        const { from, bytes } = await calls.receive();
        expect(from).toBe(0);
        got.push(new Uint32Array(bytes.slice().buffer)[0] ?? -1);
        if (i % 100 === 0) await threads.sleep(5);
      }
    });
    await run();
    expect(sender.exit?.kind).toBe("returned");
    expect(got).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  it("a core that does not receive stops its senders, and no more than a bounded number of messages is kept", async () => {
    const { bus, run, core } = machine(2);
    let sent = 0;
    const sender = core(0).core.spawn(async ({ threads }) => {
      for (;;) {
        await bus(0).callsFor(threads).send(1, new Uint8Array(8), { timeoutMs: 1_000 });
        sent++;
      }
    });
    await run();
    expect(sender.exit).toMatchObject({ kind: "failed", error: { code: "ETIMEDOUT" } });
    expect(sent).toBe(64 + 4); // the inbox, and the slots
    for (let i = 0; i < 64; i++) expect(bus(1).tryReceive()).toBeDefined();
    await run();
    for (let i = 0; i < 4; i++) expect(bus(1).tryReceive()).toBeDefined();
    expect(bus(1).tryReceive()).toBeUndefined();
    expect(bus(0).trySend(1, new Uint8Array(8))).toBe(8);
  });

  it("a sender that waits for room is rung when a slot comes back", async () => {
    const { bus, board, core, run } = machine(2);
    for (let round = 0; round < 3; round++) {
      while (bus(0).trySend(1, new Uint8Array(8)) >= 0) {}
      const sender = core(0).core.spawn(({ threads }) => bus(0).callsFor(threads).send(1, new Uint8Array(8)));
      do await drained();
      while (core(0).core.turn() || core(0).core.arm());
      const rings = board.bell(0).read();
      bus(1).poll();
      expect(board.bell(0).read()).toBe(rings + 1);
      await run();
      expect(sender.exit?.kind).toBe("returned");
      while (bus(1).tryReceive() !== undefined) {}
    }
  });

  it("refuses what it cannot send", () => {
    const { bus } = machine(2);
    expect(bus(0).trySend(0, new Uint8Array(1))).toBe(-22);
    expect(bus(0).trySend(7, new Uint8Array(1))).toBe(-22);
    expect(bus(0).trySend(1, new Uint8Array(125))).toBe(-90);
    expect(bus(0).trySend(1, new Uint8Array(124))).toBe(124);
  });

  it("empty messages arrive, and a handler that throws stops none", async () => {
    const { bus, run } = machine(2);
    const lengths: number[] = [];
    bus(1).onMessage = ({ bytes }) => {
      lengths.push(bytes.length);
      throw new Error("a bug");
    };
    for (const length of [0, 5, 0]) bus(0).trySend(1, new Uint8Array(length));
    await run();
    expect(lengths).toEqual([0, 5, 0]);
  });

  it("a thread that waits to receive can be cancelled, or time out", async () => {
    const { onCore, bus, core, run } = machine(2);
    await expect(onCore(0, (threads) => bus(0).callsFor(threads).receive({ timeoutMs: 5 }))).rejects.toMatchObject({
      code: "ETIMEDOUT",
    });
    const waiting = core(0).core.spawn(({ threads }) => bus(0).callsFor(threads).receive());
    await run();
    waiting.cancel("no more");
    await run();
    expect(waiting.exit).toEqual({ kind: "cancelled", reason: "no more" });
  });

  it("a peer that breaks the ring is cut off; others go on", async () => {
    const { memory, place, bus, run } = machine(3);
    const { layout } = channelPlace(place, 0, 1, "data");
    memory.write(guestAddress(layout.availableRing + 2), Uint8Array.of(200, 0));
    expect(bus(2).trySend(1, Uint8Array.of(7))).toBe(1);
    await run();
    expect(bus(1).tryReceive()).toMatchObject({ from: 2 });
    expect(bus(1).tryReceive()).toBeUndefined();
    const back = channelPlace(place, 0, 2, "data").layout;
    bus(0).trySend(2, Uint8Array.of(1));
    memory.write(guestAddress(back.usedRing + 2), Uint8Array.of(99, 0));
    for (let i = 0; i < 3; i++) bus(0).trySend(2, Uint8Array.of(1));
    expect(bus(0).trySend(2, Uint8Array.of(1))).toBe(-5);
  });
});

describe("the bus: threads on other cores", () => {
  const modules = {
    work: {
      main: async ({ threads }: PlainSystem, args: { a: number; b: number }) => {
        await threads.sleep(10);
        return { sum: args.a + args.b, core: threads.core };
      },
      fails: () => {
        throw new TypeError("not today");
      },
      sleeps: ({ threads }: PlainSystem) => threads.sleep(1e9),
      big: () => "x".repeat(10_000),
      odd: () => 1n,
      notAFunction: 5,
    },
  };

  it("start, run there, and end with a value that is told here", async () => {
    const { onCore } = machine(3, modules);
    const exit = await onCore(0, async (threads) => {
      const thread = await threads.spawnOn(2, { module: "work", args: { a: 1, b: 2 }, name: "adder" });
      expect([thread.core, thread.name, thread.running]).toEqual([2, "adder", true]);
      return threads.join(thread);
    });
    expect(exit).toEqual({ kind: "returned", value: { sum: 3, core: 2 } });
  });

  it("may be started on the own core, too", async () => {
    const { onCore } = machine(2, modules);
    const exit = await onCore(1, async (threads) =>
      threads.join(await threads.spawnOn(1, { module: "work", args: { a: 1, b: 1 } })),
    );
    expect(exit).toMatchObject({ value: { sum: 2, core: 1 } });
  });

  it.each([
    ["fails", "not today"],
    ["big", "the thread's result is above 4092 bytes"],
    ["odd", "the thread's result cannot be sent: TypeError: Do not know how to serialize a BigInt"],
  ])("an end by failure comes over: %s", async (name, message) => {
    const { onCore } = machine(2, modules);
    const exit = await onCore(0, async (threads) =>
      threads.join(await threads.spawnOn(1, { module: "work", export: name })),
    );
    expect(exit).toMatchObject({ kind: "failed", error: { message } });
  });

  it.each([
    ["ENOENT", 1, { module: "nowhere" }],
    ["ENOENT", 1, { module: "work", export: "notAFunction" }],
    ["ENOENT", 1, { module: "work", export: "missing" }],
    ["E2BIG", 1, { module: "work", args: "x".repeat(5_000) }],
    ["EINVAL", 9, { module: "work" }],
  ])("a spawn that cannot be is %s", async (code, core, main) => {
    const { onCore } = machine(2, modules);
    await expect(onCore(0, (threads) => threads.spawnOn(core, main))).rejects.toMatchObject({ code, syscall: "spawn" });
  });

  it("can be cancelled from here", async () => {
    const { onCore, core } = machine(2, modules);
    const exit = await onCore(0, async (threads) => {
      const thread = await threads.spawnOn(1, { module: "work", export: "sleeps" });
      await threads.sleep(5);
      threads.cancel(thread, "done with you");
      return threads.join(thread);
    });
    expect(exit).toEqual({ kind: "cancelled", reason: "done with you" });
    expect(core(1).core.threads).toEqual([]);
  });

  it("a spawn that is given up leaves no thread behind", async () => {
    const { core, run } = machine(2, modules);
    const spawner = core(0).core.spawn(({ threads }) => threads.spawnOn(1, { module: "work", export: "sleeps" }));
    core(0).core.turn();
    await drained();
    spawner.cancel();
    await run();
    expect(spawner.exit?.kind).toBe("cancelled");
    expect(core(1).core.threads).toEqual([]);
  });

  it("garbage on the control channel is logged, and nothing else", async () => {
    const warn = vi.fn();
    const { bus, run, onCore } = machine(2, modules, { ...silentLog, warn });
    const codec = new TextEncoder();
    const garbage = [
      "",
      "{",
      "null",
      "[]",
      '{"kind":"spawn"}',
      '{"kind":"ended","request":1,"exit":{"kind":"x"}}',
      "\0\xff",
    ];
    for (const text of garbage) bus(0).sendControl(1, codec.encode(text));
    // Well-formed, but never asked for.
    bus(0).sendControl(1, codec.encode('{"kind":"ended","request":1,"exit":{"kind":"returned"}}'));
    bus(0).sendControl(1, codec.encode('{"kind":"cancel","request":77}'));
    await run();
    expect(warn).toHaveBeenCalledTimes(garbage.length);
    expect((await onCore(0, async (threads) => threads.spawnOn(1, { module: "work", args: {} }))).core).toBe(1);
  });
});

describe("the bus: a core that dies", () => {
  it.each(["dead", "stopped"] as const)("ends sends, spawns and joins with EHOSTDOWN: %s", async (state) => {
    const error = vi.fn();
    const { core, bus, booted, board, run } = machine(
      3,
      { work: { main: ({ threads }: PlainSystem) => threads.sleep(1e9) } },
      { ...silentLog, error },
    );
    const joiner = core(0).core.spawn(async ({ threads }) =>
      threads.join(await threads.spawnOn(1, { module: "work" })),
    );
    const sender = core(0).core.spawn(async ({ threads }) => {
      for (;;) await bus(0).callsFor(threads).send(1, new Uint8Array(100));
    });
    const alive = booted.filter((one) => one.core.id !== 1);
    for (let i = 0; i < 20; i++) {
      for (const one of booted) one.core.turn();
      await drained();
    }
    // From here on core 1 takes no turn any more.
    const spawner = core(0).core.spawn(({ threads }) => threads.spawnOn(1, { module: "work" }));
    await run(alive);
    expect([joiner, sender, spawner].map(({ running }) => running)).toEqual([true, true, true]);
    board.setState(1, state);
    await run(alive);
    for (const thread of [joiner, sender, spawner])
      expect(thread.exit).toMatchObject({ kind: "failed", error: { code: "EHOSTDOWN" } });
    expect(bus(0).trySend(1, new Uint8Array(1))).toBe(-112);
    expect(bus(0).trySend(2, new Uint8Array(1))).toBe(1);
    expect(error.mock.calls.filter(([message]) => message === "a core died").length).toBe(state === "dead" ? 2 : 0);
  });

  it("what it sent before it stopped still counts", async () => {
    const { core, bus, booted, board, run } = machine(2, { work: { main: () => 5 } });
    const joiner = core(0).core.spawn(async ({ threads }) =>
      threads.join(await threads.spawnOn(1, { module: "work" })),
    );
    for (let i = 0; i < 3; i++) {
      core(0).core.turn();
      await drained();
    }
    for (let i = 0; i < 10; i++) {
      core(1).core.turn();
      await drained();
    }
    board.setState(1, "stopped");
    await run(booted.slice(0, 1));
    expect(joiner.exit).toEqual({ kind: "returned", value: { kind: "returned", value: 5 } });
    expect(bus(0).unreachable(1)?.code).toBe("EHOSTDOWN");
  });
});
