import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PARSER_LIMITS } from "./limits.ts";
import { bytesOf, type ReadResult, readStream } from "./testing/read-stream.ts";

const read = (text: string, limits = PARSER_LIMITS): ReadResult => readStream([bytesOf(text)], limits);
/** The status that refuses it; 0 when it is a whole request, -1 when more is to come. */
function outcome(text: string, limits = PARSER_LIMITS): number {
  const { requests, failure } = read(text, limits);
  if (failure !== undefined) return failure.status;
  return requests.length > 0 && requests.every(({ end }) => end === "whole") ? 0 : -1;
}
const H = "Host: a\r\n";

describe("golden", () => {
  it("a request as a browser sends it", () => {
    expect(
      read("GET /a%20b?c=d HTTP/1.1\r\nHost: example:8080\r\nACCEPT:*/*\r\nX-Empty:\r\nX-Blank: \t x y \t\r\n\r\n"),
    ).toEqual({
      failure: undefined,
      requests: [
        {
          method: "GET",
          target: "/a%20b?c=d",
          minorVersion: 1,
          fields: [
            ["host", "example:8080"],
            ["accept", "*/*"],
            ["x-empty", ""],
            ["x-blank", "x y"],
          ],
          body: "",
          end: "whole",
        },
      ],
    });
  });

  it("bodies by length and chunked, one request behind the other", () => {
    const { requests } = read(
      `POST /1 HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabc` +
        `POST /2 HTTP/1.1\r\n${H}Transfer-Encoding: Chunked\r\n\r\n5;a="b c"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nT: x\r\n\r\n` +
        "GET /3 HTTP/1.0\r\n\r\n",
    );
    expect(requests.map(({ target, body }) => [target, body])).toEqual([
      ["/1", "abc"],
      ["/2", "hello0123456789"],
      ["/3", ""],
    ]);
  });
});

describe("RFC 9112 refusals", () => {
  const cases: Record<string, [status: number, text: string][]> = {
    "§2.2 line ends": [
      [400, `GET / HTTP/1.1\n${H}\r\n`],
      [400, "GET / HTTP/1.1\r\nHost: a\n\r\n"],
      [400, `GET / HTTP/1.1\r\n${H}\n`],
      [400, `GET / HTTP/1.1\r${H}\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n ${H}\r\n`],
      [0, `\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`],
      [400, `${"\r\n".repeat(5)}GET / HTTP/1.1\r\n${H}\r\n`],
      [400, "\n"],
    ],
    "§3 request line": [
      [400, `GET  / HTTP/1.1\r\n${H}\r\n`],
      [400, `GET /  HTTP/1.1\r\n${H}\r\n`],
      [400, `GET / HTTP/1.1 \r\n${H}\r\n`],
      [400, `GET\t/ HTTP/1.1\r\n${H}\r\n`],
      [400, `GET /\r\n${H}\r\n`],
      [400, `G(T / HTTP/1.1\r\n${H}\r\n`],
      [400, ` GET / HTTP/1.1\r\n${H}\r\n`],
      [501, `${"G".repeat(33)} / HTTP/1.1\r\n${H}\r\n`],
      [0, `PROPFIND / HTTP/1.1\r\n${H}\r\n`],
    ],
    "§3.2 target": [
      [400, `GET a HTTP/1.1\r\n${H}\r\n`],
      [400, `GET * HTTP/1.1\r\n${H}\r\n`],
      [0, `OPTIONS * HTTP/1.1\r\n${H}\r\n`],
      [400, `GET /a#b HTTP/1.1\r\n${H}\r\n`],
      [400, `GET /\x80 HTTP/1.1\r\n${H}\r\n`],
      [400, `GET /\x7f HTTP/1.1\r\n${H}\r\n`],
      [0, `GET http://example:80/x HTTP/1.1\r\n${H}\r\n`],
      [0, `GET HTTPS://example?x HTTP/1.1\r\n${H}\r\n`],
      [400, `GET http:///x HTTP/1.1\r\n${H}\r\n`],
      [400, `GET http://user@example/x HTTP/1.1\r\n${H}\r\n`],
      [400, `GET ftp://example/x HTTP/1.1\r\n${H}\r\n`],
      [501, `CONNECT example:80 HTTP/1.1\r\n${H}\r\n`],
      [414, `GET /${"x".repeat(PARSER_LIMITS.targetBytes)} HTTP/1.1\r\n${H}\r\n`],
      [0, `GET /${"x".repeat(PARSER_LIMITS.targetBytes - 1)} HTTP/1.1\r\n${H}\r\n`],
    ],
    "§2.3 version": [
      [505, `GET / HTTP/2.0\r\n${H}\r\n`],
      [505, `GET / HTTP/1.2\r\n${H}\r\n`],
      [505, `GET / HTTP/0.9\r\n${H}\r\n`],
      [400, `GET / http/1.1\r\n${H}\r\n`],
      [400, `GET / HTTP/1.10\r\n${H}\r\n`],
      [400, `GET / HTTP/1\r\n${H}\r\n`],
    ],
    "§3.2 Host": [
      [400, "GET / HTTP/1.1\r\n\r\n"],
      [400, `GET / HTTP/1.1\r\n${H}${H}\r\n`],
      [400, `GET / HTTP/1.0\r\n${H}${H}\r\n`],
      [0, "GET / HTTP/1.0\r\n\r\n"],
      [0, "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
      [0, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"],
      [400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"],
      [400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"],
      [400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"],
      [400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"],
      [400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"],
    ],
    "§5 fields": [
      [400, `GET / HTTP/1.1\r\nHost : a\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X: a\r\n b\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X: a\r\n\tb\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}: a\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X: a\0b\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X: a\x7fb\r\n\r\n`],
      [400, `GET / HTTP/1.1\r\n${H}X\x80: a\r\n\r\n`],
      [0, `GET / HTTP/1.1\r\n${H}X: \x80\xff\r\n\r\n`],
      [0, `GET / HTTP/1.1\r\n${H}${"X: a\r\n".repeat(99)}\r\n`],
      [431, `GET / HTTP/1.1\r\n${H}${"X: a\r\n".repeat(100)}\r\n`],
      [431, `GET / HTTP/1.1\r\n${H}X: ${"a".repeat(PARSER_LIMITS.headBytes)}\r\n\r\n`],
      [431, `GET / HTTP/1.1\r\n${H}X: ${" ".repeat(PARSER_LIMITS.headBytes)}\r\n\r\n`],
      [431, `GET / HTTP/1.1\r\n${H}${"X".repeat(PARSER_LIMITS.headBytes)}: a\r\n\r\n`],
    ],
    "§6 body length": [
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 1, 1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: +1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: -1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 0x1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 1 1\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length:\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 9999999999999999\r\n\r\na`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
      [501, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
      [501, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
      [501, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: identity\r\n\r\n`],
      [501, `POST / HTTP/1.1\r\n${H}Transfer-Encoding:\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Content-Length: 0\t\r\n\r\n`],
      [0, `POST / HTTP/1.1\r\n${H}Transfer-Encoding:  chunked  \r\n\r\n0\r\n\r\n`],
      [400, `POST / HTTP/1.1\r\n${H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
    ],
    "§7.1 chunked": [
      ["", 400],
      [" 1\r\na\r\n0\r\n\r\n", 400],
      ["1 \r\na\r\n0\r\n\r\n", 400],
      ["0x1\r\na\r\n0\r\n\r\n", 400],
      ["-1\r\na\r\n0\r\n\r\n", 400],
      ["1\na\r\n0\r\n\r\n", 400],
      ["1\r\nab\r\n0\r\n\r\n", 400],
      ["1\r\na\n0\r\n\r\n", 400],
      ["1;\na\r\n0\r\n\r\n", 400],
      ["1;\r\na\r\n0\r\n\r\n", 400],
      ["1;a;\r\na\r\n0\r\n\r\n", 400],
      ["1;a=\r\na\r\n0\r\n\r\n", 400],
      ["1; a\r\na\r\n0\r\n\r\n", 400],
      ['1;a="b\r\na\r\n0\r\n\r\n', 400],
      ['1;a="b"c\r\na\r\n0\r\n\r\n', 400],
      ['1;a="\\";\\"b";c=d\r\na\r\n0\r\n\r\n', 0],
      ["1;a\rb\r\na\r\n0\r\n\r\n", 400],
      [`1;${"x".repeat(PARSER_LIMITS.chunkExtensionBytes + 1)}\r\na\r\n0\r\n\r\n`, 400],
      [`${"0".repeat(13)}\r\n\r\n`, 400],
      ["0\r\nX : a\r\n\r\n", 400],
      ["0\r\n X: a\r\n\r\n", 400],
      ["0\r\nX: a\n\r\n", 400],
      ["0\r\nTransfer-Encoding: identity\r\n\r\n", 400],
      ["0\r\ncontent-Length: 1\r\n\r\n", 400],
      ["0\r\nHost: b\r\n\r\n", 400],
      ["0\r\nTransfer-Encodings: b\r\n\r\n", 0],
      [`0\r\nX: ${"a".repeat(PARSER_LIMITS.trailerBytes)}\r\n\r\n`, 431],
      ["1;a=b;c\r\na\r\n0;d\r\nX: a\r\nY:\r\n\r\n", 0],
    ].map(([body, status]) => [
      body === "" ? 400 : (status as number),
      `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${body === "" ? "\r\n" : body}`,
    ]),
  };
  for (const [section, list] of Object.entries(cases)) {
    it.each(list)(`${section}: %i for %j`, (status, text) => expect(outcome(text)).toBe(status));
  }
});

it("RFC 9112 §9.3: Connection", () => {
  const stays = (fields: string, version = "1.1"): boolean =>
    read(`GET / HTTP/${version}\r\n${H}${fields}\r\nGET /2 HTTP/1.1\r\n${H}\r\n`).requests.length === 2;
  expect(stays("")).toBe(true);
  expect(stays("Connection: a,\tCLOSE ,b\r\n")).toBe(false);
  expect(stays("Connection: closed\r\n")).toBe(true);
  expect(stays("Connection: close\r\nConnection: keep-alive\r\n")).toBe(false);
  expect(stays("", "1.0")).toBe(false);
  expect(stays("Connection: Keep-Alive\r\n", "1.0")).toBe(true);
});

it("any segmentation gives the same result", () => {
  const element = fc.constantFrom(
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "\r\n",
    H,
    "Content-Length: 4\r\n",
    "Transfer-Encoding: chunked\r\n",
    "\r\nabcd",
    "\r\n4;x\r\nabcd\r\n0\r\n\r\n",
    "X-Long:  value \t\r\n",
    "Connection: close\r\n",
    "\n",
    " ",
    "0",
  );
  const streams = fc.oneof(
    fc.array(element, { maxLength: 14 }).map((parts) => parts.join("")),
    fc.constant(
      `POST /1 HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n4;x\r\nabcd\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n${H}\r\n`,
    ),
  );
  fc.assert(
    fc.property(streams, fc.array(fc.nat({ max: 200 }), { maxLength: 30 }), (text, places) => {
      const bytes = bytesOf(text);
      const cuts = [...new Set(places.filter((place) => place < bytes.length))].sort((a, b) => a - b);
      const pieces = [...cuts, bytes.length].map((end, index) => bytes.slice(cuts[index - 1] ?? 0, end));
      expect(readStream(pieces)).toEqual(readStream([bytes]));
    }),
    { numRuns: 1000 },
  );
});

it("limits hold for any piece size: nothing is kept beyond them", () => {
  const limits = { ...PARSER_LIMITS, headBytes: 64, targetBytes: 32, fields: 3 };
  expect(outcome(`GET /${"x".repeat(31)} HTTP/1.1\r\n${H}\r\n`, limits)).toBe(0);
  expect(outcome(`GET /${"x".repeat(32)} HTTP/1.1\r\n${H}\r\n`, limits)).toBe(414);
  expect(outcome(`GET / HTTP/1.1\r\n${H}A: ${"x".repeat(64)}\r\n\r\n`, limits)).toBe(431);
  expect(outcome(`GET / HTTP/1.1\r\n${H}A:b\r\nA:b\r\nA:b\r\n\r\n`, limits)).toBe(431);
});
