import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeviceStatus, describeStatus } from "./device-status.ts";
import { statusStep } from "./status-machine.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED } = DeviceStatus;
const live = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

const faultOf = (current: number, written: number): string | undefined => {
  const step = statusStep(current, written);
  return step.kind === "fault" ? step.fault.section : undefined;
};

describe("§2.1 the status field", () => {
  it("§3.1.1 goes up bit by bit", () => {
    expect(statusStep(0, ACKNOWLEDGE)).toEqual({ kind: "note", status: 1 });
    expect(statusStep(1, 3)).toEqual({ kind: "note", status: 3 });
    expect(statusStep(3, 11)).toEqual({ kind: "check-features", status: 11 });
    expect(statusStep(11, 15)).toEqual({ kind: "go-live", status: 15 });
  });

  it("§3.1.1 lets a driver set several early bits in one write", () => {
    expect(statusStep(0, ACKNOWLEDGE | DRIVER)).toEqual({ kind: "note", status: 3 });
    expect(statusStep(0, 11)).toEqual({ kind: "check-features", status: 11 });
  });

  it("§3.1.1 refuses steps that skip one", () => {
    expect(faultOf(0, DRIVER)).toBe("3.1.1");
    expect(faultOf(ACKNOWLEDGE, ACKNOWLEDGE | FEATURES_OK)).toBe("3.1.1");
    expect(faultOf(ACKNOWLEDGE | DRIVER, live & ~FEATURES_OK)).toBe("3.1.1");
    // The driver must read FEATURES_OK back before it goes on, so it cannot come together with DRIVER_OK.
    expect(faultOf(ACKNOWLEDGE | DRIVER, live)).toBe("3.1.1");
  });

  it("§2.1.1 refuses to clear bits but by a reset", () => {
    expect(faultOf(live, live & ~DRIVER_OK)).toBe("2.1.1");
    expect(faultOf(live, FAILED)).toBe("2.1.1");
    expect(statusStep(live, 0)).toEqual({ kind: "reset" });
    expect(statusStep(live | FAILED | DEVICE_NEEDS_RESET, 0)).toEqual({ kind: "reset" });
  });

  it("§2.1.1 wants a reset after FAILED", () => {
    expect(statusStep(3, 3 | FAILED)).toEqual({ kind: "give-up", status: 3 | FAILED });
    expect(faultOf(3 | FAILED, 11 | FAILED)).toBe("2.1.1");
  });

  it("§2.1.2 keeps DEVICE_NEEDS_RESET the device's own", () => {
    expect(statusStep(3, 3 | DEVICE_NEEDS_RESET)).toEqual({ kind: "note", status: 3 });
    expect(statusStep(live | DEVICE_NEEDS_RESET, live)).toEqual({ kind: "note", status: live | DEVICE_NEEDS_RESET });
    expect(statusStep(live | DEVICE_NEEDS_RESET, live | FAILED)).toEqual({
      kind: "give-up",
      status: live | DEVICE_NEEDS_RESET | FAILED,
    });
  });

  it("§2.1 refuses bits that are not defined, and what is no byte", () => {
    for (const written of [16, 32, 256, -1, 1.5, Number.NaN, 2 ** 40]) expect(faultOf(0, written)).toBe("2.1");
  });

  it("§2.1 for any sequence of writes: only resets clear bits, and live means all steps were made", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 20 }), (writes) => {
        let status = 0;
        for (const written of writes) {
          const step = statusStep(status, written);
          if (step.kind === "reset") status = 0;
          else if (step.kind !== "fault") {
            expect(step.status & status).toBe(status);
            if (step.kind === "go-live") expect(step.status & live).toBe(live);
            status = step.status;
          }
          if ((status & DRIVER_OK) !== 0) expect(status & FEATURES_OK).not.toBe(0);
          expect(status & DEVICE_NEEDS_RESET).toBe(0);
        }
      }),
    );
  });

  it("is described in words", () => {
    expect(describeStatus(0)).toBe("reset");
    expect(describeStatus(3)).toBe("ACKNOWLEDGE|DRIVER");
    expect(describeStatus(16 | 64)).toBe("DEVICE_NEEDS_RESET|0x10");
  });
});
