import { describe, expect, it } from "vitest";
import { latin1 } from "./chars.ts";
import { type BodyFraming, HeadBuilder } from "./head-builder.ts";

const built = (
  status: number,
  fields: Record<string, string | number | readonly string[]> | undefined,
  framing: BodyFraming = { kind: "none" },
  connection: "close" | "keep-alive" | "default" = "default",
): string => {
  const builder = new HeadBuilder(16);
  builder.head(status, fields, "now", framing, connection);
  return latin1(builder.bytes, 0, builder.length);
};

describe("HeadBuilder", () => {
  it("golden: every framing and connection", () => {
    expect(built(200, undefined, { kind: "length", length: 7 }, "close")).toBe(
      "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
    );
    expect(built(206, { ETag: '"x"' }, { kind: "chunked" }, "keep-alive")).toBe(
      'HTTP/1.1 206 Partial Content\r\nDate: now\r\nETag: "x"\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n',
    );
    expect(built(299, { "Set-Cookie": ["a=1", "b=2"], Age: 3 })).toBe(
      "HTTP/1.1 299 \r\nDate: now\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nAge: 3\r\n\r\n",
    );
  });

  it("a handler's framing fields are ignored, its Date is taken, its length only where there is no body", () => {
    const own = { "transfer-encoding": "chunked", Connection: "upgrade", "Content-Length": 9, date: "then" };
    expect(built(200, own, { kind: "length", length: 1 })).toBe(
      "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 1\r\n\r\n",
    );
    expect(built(304, own)).toBe("HTTP/1.1 304 Not Modified\r\nDate: then\r\nContent-Length: 9\r\n\r\n");
  });

  it.each([
    [100, {}],
    [600, {}],
    [200.5, {}],
    [200, { "": "x" }],
    [200, { "a b": "x" }],
    [200, { "a:": "x" }],
    [200, { é: "x" }],
    [200, { a: "x\r\ny" }],
    [200, { a: ["ok", "x\n"] }],
    [200, { a: "x\u007f" }],
    [200, { a: "\u0100" }],
    [200, { date: "x\r\n" }],
    [200, { "content-length": "1\r\n" }],
    [200, { "content-length": -1 }],
  ])("%d with %j cannot be sent", (status, fields) => expect(() => built(status, fields)).toThrow(TypeError));

  it("grows as far as it must, and no further than its limit", () => {
    expect(built(200, { a: "x".repeat(10_000) })).toHaveLength(10_000 + 35);
    expect(() => built(200, { a: "x".repeat(70_000) })).toThrow(RangeError);
  });
});
