import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockPool } from "./block-pool.ts";
import { Outbound } from "./outbound.ts";

test("what is written comes out once, in order, and no more than the limit stays, as a model says", () => {
  const step = fc.record({
    write: fc.integer({ min: 1, max: 40_000 }),
    takes: fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 4 }),
    later: fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 4 }),
  });
  const pool = new BlockPool(); // blocks come with old bytes in them
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50_000 }), fc.array(step, { maxLength: 20 }), (limit, steps) => {
      const outbound = new Outbound(limit, pool);
      let written = 0;
      let read = 0;
      const take = (most: number): void => {
        const run = outbound.take(most);
        if (run === undefined) return;
        expect(run.length).toBeLessThanOrEqual(most);
        for (const byte of run) if (byte !== (read++ * 7) % 251) throw new Error("out of order");
      };
      for (const { write, takes, later } of steps) {
        const start = written;
        outbound.beginWrite(Uint8Array.from({ length: write }, (_, i) => ((start + i) * 7) % 251));
        for (const most of takes) take(most);
        written += write - outbound.endWrite();
        expect(outbound.queued).toBe(written - read);
        expect(outbound.queued).toBeLessThanOrEqual(limit);
        for (const most of later) take(most);
      }
      while (outbound.queued > 0) take(1000);
      expect(read).toBe(written);
    }),
    { numRuns: 60 },
  );
});
