import { describe, expect, it } from "vitest";
import { describeFeatures, Feature, featureBit, hasFeature } from "./features.ts";

describe("§2.2 feature bits", () => {
  it("§6 have the numbers of the specification", () => {
    expect(featureBit(Feature.INDIRECT_DESC)).toBe(0x1000_0000n);
    expect(featureBit(Feature.EVENT_IDX)).toBe(0x2000_0000n);
    expect(featureBit(Feature.VERSION_1)).toBe(0x1_0000_0000n);
  });

  it("take a number, not a mask", () => {
    expect(() => featureBit(128)).toThrow(RangeError);
    expect(() => featureBit(-1)).toThrow(RangeError);
    expect(() => featureBit(0.5)).toThrow(RangeError);
  });

  it("are asked for and described one by one", () => {
    const set = featureBit(Feature.VERSION_1) | featureBit(3);
    expect(hasFeature(set, 3)).toBe(true);
    expect(hasFeature(set, 4)).toBe(false);
    expect(describeFeatures(set)).toBe("bit 3, VERSION_1");
    expect(describeFeatures(0n)).toBe("none");
  });
});
