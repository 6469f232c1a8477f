import { describe, expect, test } from "vitest";
import { guestCid } from "../address.ts";
import { configBytes, readGuestCid } from "./config.ts";
import { readEvent, TRANSPORT_RESET, writeEvent } from "./event.ts";
import { isOp, opName } from "./ops.ts";

describe("§5.10.4 config space", () => {
  test("guest_cid is a little-endian 64-bit number", () => {
    expect([...configBytes(guestCid(0x0102_0304))]).toEqual([4, 3, 2, 1, 0, 0, 0, 0]);
    expect(readGuestCid(Uint8Array.of(4, 3, 2, 1, 0, 0, 0, 0))).toBe(0x0102_0304);
  });

  test("reserved CIDs, and a set upper half, are no guest CID", () => {
    for (const low of [0, 1, 2]) expect(readGuestCid(Uint8Array.of(low, 0, 0, 0, 0, 0, 0, 0))).toBeUndefined();
    expect(readGuestCid(Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0))).toBeUndefined();
    expect(readGuestCid(Uint8Array.of(3, 0, 0, 0, 1, 0, 0, 0))).toBeUndefined();
    expect(readGuestCid(Uint8Array.of(3, 0, 0, 0))).toBeUndefined();
  });
});

test("§5.10.6.7: TRANSPORT_RESET is le32 0", () => {
  const bytes = Uint8Array.of(9, 9, 9, 9);
  writeEvent(bytes, TRANSPORT_RESET);
  expect([...bytes]).toEqual([0, 0, 0, 0]);
  expect(readEvent(Uint8Array.of(1, 0, 0, 0))).toBe(1);
});

test("§5.10.6: operations are 1 to 7; 0 is INVALID", () => {
  expect([0, 1, 7, 8, 0xffff].map(isOp)).toEqual([true, true, true, false, false]);
  expect(opName(7)).toBe("CREDIT_REQUEST");
  expect(opName(99)).toBe("op 99");
});
