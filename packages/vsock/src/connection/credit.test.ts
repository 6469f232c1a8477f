import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ahead,
  Credit,
  countConsumed,
  countReceived,
  countReported,
  countSent,
  learn,
  MAX_WINDOW,
  PACKET_OVERHEAD,
  packetAllowed,
  peerFree,
  plus,
  updateDue,
} from "./credit.ts";
import { MAX_PACKETS_IN_FLIGHT, PacketsInFlight } from "./packets-in-flight.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

function withWindow(peerBufAlloc: number, start = 0): Credit {
  const credit = new Credit(65_536, start);
  learn(credit, peerBufAlloc, start);
  return credit;
}

describe("§5.10.6.3 counters run free mod 2^32", () => {
  test("a distance survives the wrap-around", () => {
    fc.assert(
      fc.property(u32, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (start, distance) => {
        expect(ahead(plus(start, distance), start)).toBe(distance);
      }),
    );
  });

  test("peer_free = peer_buf_alloc - (tx_cnt - peer_fwd_cnt), across the wrap", () => {
    const credit = withWindow(1000, 0xffff_ff00);
    countSent(credit, 600);
    expect(credit.txCount).toBe(344);
    expect(peerFree(credit)).toBe(400);
    expect(learn(credit, 1000, 0x0000_0010)).toBe("learned");
    expect(peerFree(credit)).toBe(1000 - (344 - 16));
  });

  test("a window that shrinks below what is in flight leaves no credit, not a negative one", () => {
    const credit = withWindow(1000);
    countSent(credit, 800);
    learn(credit, 100, 0);
    expect(peerFree(credit)).toBe(0);
  });
});

describe("Toro: fwd_cnt is the bytes the user consumed, free running", () => {
  test("it is not the fill level, and does not go back", () => {
    const credit = new Credit(1000, 0);
    countReported(credit);
    expect(countReceived(credit, 700)).toBe(true);
    expect(credit.fwdCnt).toBe(0);
    countConsumed(credit, 300);
    countConsumed(credit, 300);
    expect(credit.fwdCnt).toBe(600);
    expect(updateDue(credit)).toBe(true);
  });

  test("a peer that claims to have consumed more than was sent lies; an overtaken packet does not", () => {
    const credit = withWindow(1000);
    countSent(credit, 100);
    expect(learn(credit, 1000, 101)).toBe("lie");
    expect(credit.peerFwdCnt).toBe(0);
    expect(learn(credit, 1000, 100)).toBe("learned");
    expect(learn(credit, 5, 50)).toBe("stale");
    expect(credit.peerBufAlloc).toBe(1000);
  });
});

describe("§5.10.6.3.1 what a peer may send", () => {
  test("no byte beyond what was promised", () => {
    const credit = new Credit(100, 0xffff_ffff);
    expect(countReceived(credit, 1)).toBe(false); // nothing was promised yet
    countReported(credit);
    expect(countReceived(credit, 101)).toBe(false);
    expect(countReceived(credit, 100)).toBe(true);
    expect(countReceived(credit, 1)).toBe(false);
  });

  test("a promise is kept when the window shrinks", () => {
    const credit = new Credit(1000, 0);
    countReported(credit);
    credit.bufAlloc = 10;
    countReported(credit);
    expect(countReceived(credit, 1000)).toBe(true);
  });

  test("a window above 2^30 is cut down, so that distances keep their sign", () => {
    expect(peerFree(withWindow(0xffff_ffff))).toBe(MAX_WINDOW);
  });
});

describe("Linux ≥ 6.12.92: packets in flight are bounded as well as bytes", () => {
  test.each([0, 1, 576, 1152, 4096, 65_536, 262_144])(
    "(unretired + 1) × 576 ≤ buf_alloc %i, with margin",
    (bufAlloc) => {
      const credit = withWindow(bufAlloc);
      let packets = 0;
      while (packetAllowed(credit)) {
        countSent(credit, 1);
        packets++;
      }
      // One packet may always go: else nothing ever would.
      expect(packets).toBe(Math.max(1, Math.floor(bufAlloc / PACKET_OVERHEAD) - 1));
      if (packets > 1) expect((packets + 1) * PACKET_OVERHEAD).toBeLessThanOrEqual(bufAlloc);
      learn(credit, bufAlloc, packets);
      expect(credit.inFlight.count).toBe(0);
      expect(packetAllowed(credit)).toBe(true);
    },
  );

  test("packets are retired when fwd_cnt has reached their end, also across the wrap, as a model says", () => {
    fc.assert(
      fc.property(
        u32,
        fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 9000 }))),
        (start, steps) => {
          const ring = new PacketsInFlight();
          let model: number[] = []; // distances from start
          let sent = 0;
          let retired = 0;
          for (const [length, advance] of steps) {
            if (!ring.full) {
              sent += length;
              ring.add(plus(start, sent));
              model.push(sent);
            }
            retired = Math.min(sent, retired + advance);
            ring.retire(plus(start, retired));
            model = model.filter((end) => end > retired);
            expect(ring.count).toBe(model.length);
          }
        },
      ),
    );
  });

  test("the record of packets is bounded", () => {
    const credit = withWindow(MAX_WINDOW);
    while (packetAllowed(credit)) countSent(credit, 1);
    expect(credit.inFlight.count).toBe(MAX_PACKETS_IN_FLIGHT);
    expect(() => countSent(credit, 1)).toThrow(RangeError);
  });
});

describe("§5.10.6.3 when the peer hears of consumed bytes", () => {
  function received(bufAlloc: number, bytes: number, packets = 1): Credit {
    const credit = new Credit(bufAlloc, 0);
    countReported(credit);
    for (let i = 0; i < packets; i++) countReceived(credit, bytes / packets);
    return credit;
  }

  test("at half a window, not for every read", () => {
    const credit = received(262_144, 200_000);
    countConsumed(credit, 131_071);
    expect(updateDue(credit)).toBe(false);
    countConsumed(credit, 1);
    expect(updateDue(credit)).toBe(true);
    countReported(credit);
    expect(updateDue(credit)).toBe(false);
  });

  test("with whole-window: only when the peer may send nothing more, and all is consumed", () => {
    const credit = new Credit(16_384, 0, "whole-window");
    countReported(credit);
    countReceived(credit, 16_383);
    countConsumed(credit, 16_383);
    expect(updateDue(credit)).toBe(false);
    countReceived(credit, 1);
    expect(updateDue(credit)).toBe(false);
    countConsumed(credit, 1);
    expect(updateDue(credit)).toBe(true);
  });

  test("when all is consumed and the peer lacks room for a full packet", () => {
    const credit = received(65_536, 100);
    countConsumed(credit, 99);
    expect(updateDue(credit)).toBe(false);
    countConsumed(credit, 1);
    expect(updateDue(credit)).toBe(true);
  });

  test("when all is consumed and the peer lacks packets rather than bytes", () => {
    const few = received(262_144, 200, 200);
    countConsumed(few, 200);
    expect(updateDue(few)).toBe(false);
    const many = received(262_144, 230, 230);
    countConsumed(many, 230);
    expect(updateDue(many)).toBe(true);
  });

  test("when all is consumed and the peer has asked", () => {
    const credit = received(262_144, 10);
    credit.peerStarved = true;
    countConsumed(credit, 9);
    expect(updateDue(credit)).toBe(false);
    countConsumed(credit, 1);
    expect(updateDue(credit)).toBe(true);
  });
});
