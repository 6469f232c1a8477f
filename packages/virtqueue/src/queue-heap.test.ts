/** A chain costs no heap, in either role: what `bench:ring` shows of the build holds of the sources, too. */
import { expect, it } from "vitest";
import { createQueuePair, type QueuePair } from "./testing/index.ts";

const WARM_UP = 100_000;
const STRETCH = 50_000;
const STRETCHES = 9;

/** Sends so many chains there and back, in batches of 8. */
function exchange({ driver, device, chain, buffers }: QueuePair<number>, segments: number, chains: number): void {
  for (let done = 0; done < chains; done += 8) {
    for (let i = 0; i < 8; i++) {
      if (segments === 1) {
        driver.lendWritable(buffers, 64, i);
      } else {
        driver.beginChain(segments);
        for (let s = 1; s < segments; s++) driver.addReadable(buffers + 64 * s, 16);
        driver.addWritable(buffers, 64);
        driver.endChain(i);
      }
    }
    driver.publish();
    while (device.next(chain)) device.complete(chain.head, chain.length(chain.count - 1));
    device.publish();
    while (driver.poll() !== undefined);
  }
}

function heapBytesPerChain(pair: QueuePair<number>, segments: number): number {
  const stretches = Array.from({ length: STRETCHES }, () => {
    const before = process.memoryUsage().heapUsed;
    exchange(pair, segments, STRETCH);
    return (process.memoryUsage().heapUsed - before) / STRETCH;
  });
  return stretches.sort((a, b) => a - b)[STRETCHES >> 1] ?? Number.NaN;
}

const shapes = [
  { segments: 1, options: {} },
  { segments: 3, options: {} },
  { segments: 3, options: { indirectSegments: 4 } },
];
it.each(shapes)("no heap per chain: %o", { timeout: 60_000 }, ({ segments, options }) => {
  const pair = createQueuePair<number>({ size: 64, eventIdx: true, ...options });
  exchange(pair, segments, WARM_UP);
  // The smallest object has 16 bytes. What the engine does beside (compiling) is less than a quarter of one per chain.
  expect(heapBytesPerChain(pair, segments)).toBeLessThan(4);
});
