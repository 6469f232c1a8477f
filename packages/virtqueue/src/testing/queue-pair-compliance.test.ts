import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { SplitDeviceQueue } from "../device-queue.ts";
import { createQueuePair, type QueuePairOptions, type QueuePairUnderTest, queuePairCompliance } from "./index.ts";

function underTest(options: QueuePairOptions): QueuePairUnderTest {
  const pair = createQueuePair<number>(options);
  const { memory, layout, driver, device, buffers } = pair;
  const { eventIdx = false, indirectSegments } = options;
  const indirect = indirectSegments !== undefined;
  return {
    memory,
    driver,
    device,
    buffers,
    freshDevice: () => new SplitDeviceQueue({ memory, layout, eventIdx, indirect }),
  };
}

/** Guest memory that lies where that of a large guest may. */
function highMemory(): GuestMemory {
  return GuestMemory.map([{ base: guestAddress(2 ** 40), buffer: new ArrayBuffer(2 ** 21) }]);
}

const VARIANTS: Record<string, (size: number) => QueuePairUnderTest> = {
  plain: (size) => underTest({ size }),
  EVENT_IDX: (size) => underTest({ size, eventIdx: true }),
  indirect: (size) => underTest({ size, indirectSegments: 4 }),
  "EVENT_IDX, indirect": (size) => underTest({ size, eventIdx: true, indirectSegments: 4 }),
  "shared memory": (size) =>
    underTest({
      size,
      eventIdx: true,
      memory: GuestMemory.map([{ base: guestAddress(0), buffer: new SharedArrayBuffer(2 ** 21) }]),
    }),
  "memory at 1 TiB": (size) => underTest({ size, eventIdx: true, memory: highMemory() }),
};

describe.each(Object.entries(VARIANTS))("a split ring, %s", (_name, create) => {
  for (const { title, run } of queuePairCompliance(create)) it(title, run);
});

describe("the suite can fail", () => {
  const failures = (create: (size: number) => QueuePairUnderTest): string[] =>
    queuePairCompliance(create).flatMap(({ title, run }) => {
      try {
        run();
        return [];
      } catch {
        return [title];
      }
    });

  const lies = (real: () => unknown): boolean => {
    real();
    return false;
  };

  /** The real pair with one call broken. */
  const broken =
    (side: "driver" | "device", call: string, replace: (real: () => unknown) => unknown) => (size: number) => {
      const pair = underTest({ size, eventIdx: true });
      const target = pair[side] as unknown as Record<string, (...args: unknown[]) => unknown>;
      const real = target[call]?.bind(target);
      target[call] = (...args) => replace(() => real?.(...args));
      return pair;
    };

  it.each([
    ["a device that does not look once more", broken("device", "armAvailableNotifications", lies)],
    ["a driver that does not look once more", broken("driver", "armUsedNotifications", lies)],
    ["a driver that never notifies", broken("driver", "publish", lies)],
    ["a device that never interrupts", broken("device", "publish", lies)],
    ["a reset that forgets a chain", broken("driver", "reset", (real) => (real() as number[]).slice(1))],
    ["a driver that publishes nothing", broken("driver", "publish", () => true)],
  ])("%s", (_what, create) => {
    expect(failures(create)).not.toEqual([]);
  });
});
