/**
 * Two endpoints, joined by two lossless channels, driven in any order. Whatever they do, both byte streams arrive exact,
 * neither end is ever sent more than it promised to take, and they come to rest with nothing waiting.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PacketHeader } from "../wire/header.ts";
import { Op } from "../wire/ops.ts";
import { type CreditUpdates, PACKET_OVERHEAD, plus, unconsumed } from "./credit.ts";
import { Endpoint } from "./endpoint.ts";
import { Signal } from "./signals.ts";

interface Packet {
  readonly header: PacketHeader;
  /** Position of the payload's first byte in the sender's stream. */
  readonly position: number;
}

class End {
  readonly endpoint: Endpoint;
  readonly start: number;
  readonly incoming: Packet[] = [];
  /** Bytes given to the endpoint, sent in RW, received, and read by the user. */
  written = 0;
  sent = 0;
  received = 0;
  read = 0;
  unretired = 0;
  sawEnd = false;

  constructor(endpoint: Endpoint, start: number) {
    this.endpoint = endpoint;
    this.start = start;
  }

  write(bytes: number): void {
    const { state } = this.endpoint;
    if (state.kind !== "established" || state.outbound !== "open") return;
    this.endpoint.enqueue(bytes);
    this.written += bytes;
  }

  /** Sends one packet of at most `limit` bytes to the other end. */
  send(to: End, limit: number): boolean {
    const header = new PacketHeader();
    const op = this.endpoint.take(header, limit);
    if (op === 0) return false;
    if (op === Op.Rw) {
      expect(header.len).toBeGreaterThan(0);
      // §5.10.6.3.1: the peer has room for it: what it promised in the packets that have reached us.
      const { credit } = this.endpoint;
      expect(plus(credit.txCount, -credit.peerFwdCnt)).toBeLessThanOrEqual(credit.peerBufAlloc);
      const { count } = credit.inFlight;
      if (count > 1) expect((count + 1) * PACKET_OVERHEAD).toBeLessThanOrEqual(credit.peerBufAlloc);
    }
    to.incoming.push({ header, position: this.sent });
    this.sent += header.len;
    return true;
  }

  deliver(): boolean {
    const packet = this.incoming.shift();
    if (packet === undefined) return false;
    const signals = this.endpoint.receive(packet.header, packet.header.len);
    if ((signals & Signal.Data) !== 0) {
      expect(packet.position).toBe(this.received);
      this.received += packet.header.len;
      expect(unconsumed(this.endpoint.credit)).toBeLessThanOrEqual(this.endpoint.credit.bufAlloc);
    }
    if ((signals & Signal.InboundEnded) !== 0) this.sawEnd = true;
    return true;
  }

  consume(bytes: number): boolean {
    const count = Math.min(bytes, this.received - this.read);
    if (count === 0) return false;
    this.read += count;
    this.endpoint.consumed(count);
    return true;
  }
}

type Step =
  | { readonly do: "write" | "read" | "send"; readonly end: 0 | 1; readonly bytes: number }
  | { readonly do: "deliver" | "end-send"; readonly end: 0 | 1 };

const end = fc.constantFrom<0 | 1>(0, 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      do: fc.constantFrom("write", "read", "send"),
      end,
      bytes: fc.integer({ min: 1, max: 3000 }),
    }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("deliver"), end }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end-send"), end }) },
);
const window = fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 2000, max: 100_000 }));
const counter = fc.oneof(fc.constant(0), fc.integer({ min: 0xffff_f000, max: 0xffff_ffff }));

/** Of an odd window the peer hears only when all of it is used: both kinds of update, in every combination. */
const updates = (window: number): CreditUpdates => (window % 2 === 0 ? "half-window" : "whole-window");

function pair(windows: readonly [number, number], start: number): [End, End] {
  const a = new End(Endpoint.connecting(windows[0], start, updates(windows[0])), start);
  const request = new PacketHeader();
  a.endpoint.take(request);
  const b = new End(Endpoint.accepting(request, windows[1], start, updates(windows[1])), start);
  return [a, b];
}

/** With the RESPONSE delivered: whoever ends before that gives up, which is another story (the last test's). */
function opened(windows: readonly [number, number], start: number): [End, End] {
  const [a, b] = pair(windows, start);
  b.send(a, 0);
  a.deliver();
  return [a, b];
}

function apply(ends: [End, End], step: Step): void {
  const self = ends[step.end];
  const other = ends[1 - step.end];
  if (other === undefined) return;
  if (step.do === "write") self.write(step.bytes);
  else if (step.do === "read") self.consume(step.bytes);
  else if (step.do === "send") self.send(other, step.bytes);
  else if (step.do === "deliver") self.deliver();
  else self.endpoint.request("end-send");
}

/** Both read and send all they can. Fails when that never ends. */
function settle([a, b]: [End, End]): void {
  for (let round = 0; round < 100_000; round++) {
    const moved = [a.send(b, 65_536), b.send(a, 65_536), a.deliver(), b.deliver(), a.consume(5000), b.consume(5000)];
    if (!moved.includes(true)) return;
  }
  throw new Error("the two ends never come to rest");
}

describe("§5.10.6.5 two endpoints, any segmentation, any credit, any order", () => {
  test("both streams arrive exact, credit is never exceeded, and nothing waits for ever", () => {
    fc.assert(
      fc.property(fc.tuple(window, window), counter, fc.array(step, { maxLength: 200 }), (windows, start, steps) => {
        const ends = opened(windows, start);
        for (const one of steps) apply(ends, one);
        settle(ends);
        const [a, b] = ends;
        expect([b.read, a.read]).toEqual([a.written, b.written]);
        for (const one of ends) {
          expect(one.endpoint.queued).toBe(0);
          expect(one.endpoint.blockedOnCredit).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("whoever ends first, and whenever: in the end both are closed in order, with every byte read", () => {
    fc.assert(
      fc.property(
        fc.tuple(window, window),
        counter,
        fc.array(step, { maxLength: 80 }),
        fc.array(step, { maxLength: 20 }),
        end,
        (windows, start, steps, between, first) => {
          const ends = opened(windows, start);
          for (const one of steps) apply(ends, one);
          ends[first].endpoint.request("end-send");
          for (const one of between) apply(ends, one);
          ends[1 - first]?.endpoint.request("end-send");
          settle(ends);
          const [a, b] = ends;
          expect([b.read, a.read]).toEqual([a.written, b.written]);
          expect([a.endpoint.state, b.endpoint.state]).toEqual([
            { kind: "closed", errno: 0 },
            { kind: "closed", errno: 0 },
          ]);
          expect([a.endpoint.finished, b.endpoint.finished]).toEqual([true, true]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("any wishes at any time: both come to rest, and neither is left established alone", () => {
    const wish = fc.record({
      wish: fc.constantFrom("end-send", "end-receive", "end", "abort", "timeout"),
      end,
    });
    fc.assert(
      fc.property(
        fc.tuple(window, window),
        fc.array(fc.oneof({ weight: 8, arbitrary: step }, { weight: 1, arbitrary: wish }), { maxLength: 120 }),
        (windows, steps) => {
          const ends = pair(windows, 0);
          for (const one of steps) {
            if ("wish" in one) ends[one.end].endpoint.request(one.wish);
            else apply(ends, one);
          }
          settle(ends);
          const [a, b] = ends;
          const kinds = [a.endpoint.state.kind, b.endpoint.state.kind];
          if (kinds.includes("closed")) expect(kinds).toEqual(["closed", "closed"]);
          expect(kinds).not.toContain("closing");
        },
      ),
      { numRuns: 300 },
    );
  });
});
