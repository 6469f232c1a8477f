import { describe, expect, test } from "vitest";
import { HeadBuilder } from "./head-builder.ts";
import { prepareFields } from "./prepared-fields.ts";

const head = (fields: Parameters<HeadBuilder["head"]>[1]): string => {
  const builder = new HeadBuilder(64);
  builder.head(200, fields, "Sun, 06 Nov 1994 08:49:37 GMT", { kind: "length", length: 3 }, "close");
  return String.fromCharCode(...builder.bytes.subarray(0, builder.length));
};

describe("prepared fields", () => {
  test("make the same head as the fields that they were made of", () => {
    const fields = { "content-type": "text/plain", vary: ["accept", "origin"], age: 5 };
    expect(head(prepareFields(fields))).toBe(head(fields));
  });

  test("may be longer than the builder that makes the head", () => {
    const fields = { long: "x".repeat(5_000) };
    expect(head(prepareFields(fields))).toBe(head(fields));
  });

  test("hold nothing that HTTP cannot carry", () => {
    expect(() => prepareFields({ name: "a\r\nb: c" })).toThrow(TypeError);
    expect(() => prepareFields({ "na me": "a" })).toThrow(TypeError);
  });

  test.each(["Date", "Content-Length", "Transfer-Encoding", "connection"])("do not hold %s", (name) => {
    expect(() => prepareFields({ [name]: "1" })).toThrow(`${name} cannot be prepared`);
  });
});
