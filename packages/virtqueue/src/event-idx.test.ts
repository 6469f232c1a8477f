import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { passesEvent } from "./event-idx.ts";

describe("§2.7.7.2, §2.7.10.1: notify when the entry at the event's index was written", () => {
  it.each([
    // event, now, before, passes
    [0, 1, 0, true], // the example of §2.7.7.2: "if used_event is 0 … after the first buffer is used"
    [0, 2, 1, false],
    [0, 1, 65_535, true], // "(and again after the 65536th buffer, etc)"
    [5, 5, 3, false], // entries 3 and 4 were written, 5 was not
    [5, 6, 3, true],
    [65_535, 0, 65_534, true],
    [65_535, 65_535, 65_530, false],
    [2, 4, 65_530, true], // a batch across the wrap
    [7, 7, 7, false], // nothing was written
    [6, 7, 7, false],
  ])("event %i, index %i, before %i: %s", (event, now, before, passes) => {
    expect(passesEvent(event, now, before)).toBe(passes);
  });

  it("is the same as going through the entries one by one", () => {
    fc.assert(
      fc.property(
        fc.nat(65_535),
        fc.integer({ min: 0, max: 32_768 }),
        fc.integer({ min: -5, max: 32_773 }),
        (before, written, ahead) => {
          const event = (before + ahead + 65_536) % 65_536;
          const passed = ahead >= 0 && ahead < written;
          expect(passesEvent(event, (before + written) % 65_536, before)).toBe(passed);
        },
      ),
    );
  });
});
