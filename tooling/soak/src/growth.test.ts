import { describe, expect, it } from "vitest";
import { judge } from "./growth.ts";

const MiB = 2 ** 20;

describe("judge", () => {
  it("exact: whatever is one more than before is growth, also once", () => {
    expect(judge([3, 3, 3, 3, 3, 3], { kind: "exact" }).grows).toBe(false);
    expect(judge([3, 3, 3, 3, 4, 3], { kind: "exact" }).grows).toBe(true);
  });

  it("breathes: noise and single peaks are none, a slow rise is", () => {
    const rule = { kind: "breathes", allowance: 8 * MiB } as const;
    const noise = Array.from({ length: 30 }, (_, i) => (100 + ((i * 7919) % 13)) * MiB);
    expect(judge(noise, rule).grows).toBe(false);
    expect(judge(noise.with(29, 400 * MiB), rule).grows).toBe(false);
    expect(
      judge(
        noise.map((bytes, i) => bytes + i * 0.7 * MiB),
        rule,
      ).grows,
    ).toBe(true);
  });

  it("breathes: a step at the start, while things warm up, does not count as a rise for ever", () => {
    const rule = { kind: "breathes", allowance: 8 * MiB } as const;
    const step = Array.from({ length: 30 }, (_, i) => (i < 2 ? 60 : 100) * MiB);
    expect(judge(step, rule).grows).toBe(false);
  });
});
