import { SplitDeviceQueue } from "@toril/virtqueue";
import { createQueuePair, queuePairCompliance } from "@toril/virtqueue/testing";
import { describe, it } from "vitest";
import { type Tapped, TappedQueue } from "./queue-tap.ts";

const silentTap = { available: () => {}, used: () => {} };

describe("a queue with a tap on it is a queue like any other", () => {
  const cases = queuePairCompliance((size) => {
    const pair = createQueuePair<Tapped<number>>({ size, eventIdx: true, indirectSegments: 4 });
    const { memory, layout, device, buffers } = pair;
    const driver = new TappedQueue<number>(pair.driver, 0, silentTap);
    const freshDevice = (): SplitDeviceQueue =>
      new SplitDeviceQueue({ memory, layout, eventIdx: true, indirect: true });
    return { memory, driver, device, buffers, freshDevice };
  });
  for (const { title, run } of cases) it(title, run);
});
