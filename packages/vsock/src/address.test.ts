import { expect, test } from "vitest";
import { guestCid, HOST_CID, PORT_ANY, port } from "./address.ts";

test("§5.10.4: reserved CIDs are no guest's", () => {
  for (const reserved of [0, 1, HOST_CID, 0xffff_ffff, -1, 1.5, 2 ** 32])
    expect(() => guestCid(reserved)).toThrow(RangeError);
  expect([guestCid(3), guestCid(0xffff_fffe)]).toEqual([3, 0xffff_fffe]);
});

test("ports are 32 bits, and PORT_ANY is none", () => {
  for (const wrong of [-1, 0.5, PORT_ANY, 2 ** 32, Number.NaN]) expect(() => port(wrong)).toThrow(RangeError);
  expect([port(0), port(PORT_ANY - 1)]).toEqual([0, 0xffff_fffe]);
});
