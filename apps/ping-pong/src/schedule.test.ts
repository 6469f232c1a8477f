import { describe, expect, test } from "vitest";
import type { Job } from "./job.ts";
import type { PingPongOptions, Watcher } from "./options.ts";
import type { Cell, Subject } from "./outcome.ts";
import { Schedule } from "./schedule.ts";
import { COUNTED, machineCell, peerCell } from "./testing/outcome.ts";

const url = new URL("file:///nothing");
const OPTIONS: PingPongOptions = {
  modules: { ends: url, process: url, sources: url },
  ...{ machines: ["inline"], machinesAre: "required", tx: ["one-copy"], peers: "all", preset: "default" },
  ...{ sizes: [64, 4096], modes: ["rtt", "bulk"], rounds: 2 },
};

/** A subject whose runs cost nothing; it notes them. */
class Noted implements Subject {
  readonly name: string;
  readonly cells: readonly Cell[];
  readonly #jobs: [string, Job][];
  onRun: () => void = () => {};

  constructor(name: string, cells: readonly Cell[], jobs: [string, Job][]) {
    this.name = name;
    this.cells = cells;
    this.#jobs = jobs;
  }

  run(job: Job): ReturnType<Subject["run"]> {
    this.#jobs.push([this.name, job]);
    this.onRun();
    const figures = { p50: 1, p99: 2, p999: 3, mbPerS: 100, messages: job.count };
    return Promise.resolve({ figures, counted: this.name === "inline" ? COUNTED : undefined, stages: undefined });
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

function create(): { readonly machine: Noted; readonly peer: Noted; readonly jobs: [string, Job][] } {
  const jobs: [string, Job][] = [];
  const empty = { unread: { figures: [], counted: undefined }, read: { figures: [], counted: undefined } };
  const cells = <T extends Cell>(make: (size: number, mode: "rtt" | "bulk") => T): T[] =>
    OPTIONS.modes.flatMap((mode) => OPTIONS.sizes.map((size) => ({ ...make(size, mode), ...structuredClone(empty) })));
  const machine = new Noted(
    "inline",
    cells((size, mode) => machineCell("inline", "one-copy", size, mode, 1, 1)),
    jobs,
  );
  const peer = new Noted(
    "c-spin",
    cells((size, mode) => peerCell("c-spin", size, mode, 1, 1)),
    jobs,
  );
  return { machine, peer, jobs };
}

const watcher = (signal: AbortSignal = new AbortController().signal): Watcher => ({ progress: () => {}, signal });

describe("the schedule", () => {
  test("every cell in every round, read and unread, by turns first; checked before anything is timed", async () => {
    const { machine, peer, jobs } = create();
    const schedule = new Schedule([machine, peer], { ...OPTIONS, count: 7 }, 2, watcher());
    expect(await schedule.run()).toEqual({ completeness: "complete", rounds: 2 });
    for (const { unread, read } of [...machine.cells, ...peer.cells]) {
      expect([unread.figures.length, read.figures.length]).toEqual([2, 2]);
    }
    const order = jobs.map(([name, { mode, size, payload, trace }]) => `${name} ${mode} ${size} ${payload} ${trace}`);
    expect(order.slice(0, 8).every((line) => line.includes("checked"))).toBe(true);
    expect(order.slice(8).some((line) => line.includes("checked"))).toBe(false);
    expect(order.slice(8, 12)).toEqual([
      ...["inline rtt 64 unread off", "inline rtt 64 read off", "c-spin rtt 64 unread off", "c-spin rtt 64 read off"],
    ]);
    expect(order.slice(24, 26)).toEqual(["inline rtt 64 read off", "inline rtt 64 unread off"]);
    expect(order.slice(40)).toEqual(["inline rtt 64 unread on", "inline rtt 4096 unread on"]);
    expect(
      new Set(
        jobs
          .slice(8)
          .filter(([, { trace }]) => trace === "off")
          .map(([, { count }]) => count),
      ),
    ).toEqual(new Set([7]));
  });

  test("counters of machines are summed up over the rounds", async () => {
    const { machine, peer } = create();
    await new Schedule([machine, peer], { ...OPTIONS, count: 1 }, 2, watcher()).run();
    expect(machine.cells[0]?.unread.counted?.copies.userToPacket).toBe(2 * COUNTED.copies.userToPacket);
    expect(peer.cells[0]?.unread.counted).toBeUndefined();
  });

  test("without a count: as many messages as fit into a run's share of the time", async () => {
    const { machine, jobs } = create();
    await new Schedule([machine], OPTIONS, 2, watcher()).run();
    // 64 bytes there and back at 100 MB/s are 1.3 µs, 4 KiB are 82: a run of 80 ms takes as many as it may, and about 1000.
    const last = jobs.filter(([, { payload, mode }]) => payload === "read" && mode === "rtt").slice(-2);
    expect(last.map(([, { count }]) => count)).toEqual([20_000, 977]);
  });

  test("told to stop: partial, and nothing runs any more", async () => {
    const { machine, jobs } = create();
    const ending = new AbortController();
    machine.onRun = () => {
      if (jobs.length === 12) ending.abort();
    };
    const outcome = await new Schedule([machine], { ...OPTIONS, count: 1 }, 2, watcher(ending.signal)).run();
    expect(outcome).toEqual({ completeness: "partial", rounds: 1 });
    expect(jobs.length).toBeLessThanOrEqual(13);
  });

  test("a run that fails is an error; after the signal it is none", async () => {
    for (const when of ["before", "after"] as const) {
      const { machine } = create();
      const ending = new AbortController();
      machine.onRun = () => {
        if (when === "after") ending.abort();
        throw new Error("a payload arrived wrong");
      };
      const outcome = new Schedule([machine], { ...OPTIONS, count: 1 }, 1, watcher(ending.signal)).run();
      if (when === "after") expect(await outcome).toMatchObject({ completeness: "partial" });
      else await expect(outcome).rejects.toThrow("a payload arrived wrong");
    }
  });
});
