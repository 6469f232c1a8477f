// Both event-driven ends over a link that cuts everything into pieces of any length: the protocol of job.ts.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Job } from "./job.ts";
import type { Link } from "./link.ts";
import { PingEnd } from "./ping-end.ts";
import { PongEnd } from "./pong-end.ts";

/** One direction: takes `room` bytes until they are delivered, in the pieces that `cut` says. */
class Pipe {
  readonly queue: number[] = [];
  readonly #room: number;
  closed = false;

  constructor(room: number) {
    this.#room = room;
  }

  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.#room - this.queue.length);
    for (let i = 0; i < taken; i++) this.queue.push(bytes[i] ?? 0);
    return taken;
  }

  deliver(most: number, to: (bytes: Uint8Array) => void): void {
    to(Uint8Array.from(this.queue.splice(0, most)));
  }
}

interface Run {
  readonly ping: PingEnd;
  readonly job: Job;
}

/** Runs until nothing moves any more. @param tamper what happens to bytes on their way to the ping end */
function run(wanted: Partial<Job>, room: number, cuts: readonly number[], tamper?: (bytes: Uint8Array) => void): Run {
  const job: Job = {
    ...{
      mode: "rtt",
      size: 10,
      warmUp: 2,
      count: 5,
      payload: "checked",
      tx: "one-copy",
      receive: "copy",
      trace: "off",
    },
    ...wanted,
  };
  const [there, back] = [new Pipe(room), new Pipe(room)];
  const linkOver = (pipe: Pipe): Link => ({
    write: (bytes) => pipe.write(bytes),
    close: () => {
      pipe.closed = true;
    },
  });
  let time = 0;
  const ping = new PingEnd({ job, link: linkOver(there), now: () => time++, counters: () => ({ at: time }) });
  const pong = new PongEnd(linkOver(back));
  ping.start();
  for (let i = 0; there.queue.length + back.queue.length > 0; i++) {
    const most = cuts[i % cuts.length] ?? 1;
    there.deliver(most, (bytes) => pong.feed(bytes));
    back.deliver(most, (bytes) => {
      tamper?.(bytes);
      ping.feed(bytes);
    });
    ping.drain();
    pong.drain();
  }
  return { ping, job };
}

describe.each(["rtt", "bulk"] as const)("%s", (mode) => {
  test("every message is counted and checked, in pieces of any length", async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        ...[
          fc.integer({ min: 1, max: 40 }),
          fc.nat(3),
          fc.integer({ min: 1, max: 6 }),
          fc.integer({ min: 1, max: 64 }),
        ],
        pieces,
        async (size, warmUp, count, room, cuts) => {
          const { ping } = run({ mode, size, warmUp, count }, room, cuts);
          const report = await ping.report;
          expect(report.samples).toHaveLength(count);
          expect(report.messages).toBe(count);
          expect(report.samples.every((sample) => sample > 0)).toBe(true);
          expect(report.samples.reduce((sum, sample) => sum + sample, 0)).toBe(report.elapsedMs);
        },
      ),
    );
  });

  test("a wrong byte ends the run, and is named", async () => {
    let seen = 0;
    const { ping } = run({ mode }, 1_000, [10], (bytes) => {
      // Behind READY and the first message.
      for (let i = 0; i < bytes.length; i++) if (seen++ === 15) bytes[i] = (bytes[i] ?? 0) ^ 1;
    });
    await expect(ping.report).rejects.toThrow(/byte 4 of message 1 arrived with another value/);
  });

  test("a byte too many puts the ends out of step, and that is said", async () => {
    let seen = 0;
    const { ping } = run({ mode, payload: "unread" }, 1_000, [1], (bytes) => {
      if (bytes.length > 0 && seen++ === 0) bytes[0] = 0x55;
    });
    await expect(ping.report).rejects.toThrow(/a byte 85 where 161 was due/);
  });
});

test("a link that breaks is told once; what comes after the end is nothing to anybody", async () => {
  const { ping } = run({}, 100, [10]);
  const report = await ping.report;
  ping.fail(new Error("too late"));
  ping.feed(new Uint8Array(5));
  expect(await ping.report).toBe(report);
});

test("traced: each message begins, is handed over, and ends, in that order", async () => {
  const { ping, job } = run({ trace: "on", payload: "unread" }, 7, [3]);
  const { begun, sent, ended } = await ping.report;
  expect([begun.length, sent.length, ended.length]).toEqual([job.count + 1, job.count + 1, job.count + 1]);
  for (let i = 0; i < begun.length; i++) {
    expect(sent[i]).toBeGreaterThanOrEqual(begun[i] as number);
    expect(ended[i]).toBeGreaterThan(sent[i] as number);
  }
});
