// Our parser against Node's own (llhttp), over thousands of generated and mutated byte streams. What must hold: every
// request that ours takes, Node takes too, in the same place, with the same method, target and body. Ours may refuse more.
import { createServer, METHODS, type Server } from "node:http";
import { Duplex } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bytesOf, readStream } from "./testing/read-stream.ts";

/** Where ours may take what Node refuses, and why neither can be used to smuggle a request. */
const JUSTIFIED: readonly { readonly what: string; readonly test: (text: string, method: string) => boolean }[] = [
  {
    what: "methods that Node has no name for: a method frames nothing, and handlers answer 405 or 501",
    test: (_text, method) => !METHODS.includes(method),
  },
];

interface Seen {
  readonly method: string;
  readonly target: string;
  body: string;
  end: "whole" | "open";
}

let server: Server;
let seen: Seen[] = [];

beforeAll(() => {
  server = createServer({ insecureHTTPParser: false, requireHostHeader: false }, (request, response) => {
    const entry: Seen = { method: request.method ?? "", target: request.url ?? "", body: "", end: "open" };
    seen.push(entry);
    request.setEncoding("latin1");
    request.on("data", (part: string) => {
      entry.body += part;
    });
    request.on("end", () => {
      entry.end = "whole";
      response.end();
    });
    request.on("error", () => {});
  });
  server.on("checkContinue", (request, response) => server.emit("request", request, response));
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  // The wire is destroyed later: what came whole before the error is still to be told.
  server.on("clientError", () => {});
});
afterAll(() => void server.close());

class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
  setTimeout(): this {
    return this;
  }
}

async function nodeReads(bytes: Uint8Array): Promise<Seen[]> {
  seen = [];
  const mine = seen;
  const wire = new Wire();
  wire.on("error", () => {});
  server.emit("connection", wire);
  wire.push(bytes);
  // A few turns of the loop are enough: everything is in memory.
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
  wire.destroy();
  return mine;
}

const BODIES = [
  "\r\n",
  "Content-Length: 5\r\n\r\nhello",
  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
  "Content-Length: 0\r\n\r\n",
];
const request = fc
  .tuple(
    fc.constantFrom("GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE"),
    fc.constantFrom("/", "/a?b", "*", "http://h/x"),
    fc.constantFrom("1.1", "1.1", "1.1", "1.0"),
    fc.array(
      fc.constantFrom(
        "X: y\r\n",
        "Connection: keep-alive\r\n",
        "Expect: 100-continue\r\n",
        "Accept:\t*/*\t\r\n",
        "Connection: close\r\n",
      ),
      { maxLength: 2 },
    ),
    fc.constantFrom(...BODIES),
  )
  .map(([method, target, version, fields, body]) => {
    return `${method} ${target} HTTP/${version}\r\nHost: a\r\n${fields.join("")}${body}`;
  });

/** What attackers put where it does not belong. */
const splinter = fc.oneof(
  fc.constantFrom(..."\r\n\0\t\v\f :;,+-_=\"'0159abcfxX\x80\xa0\xff\x7f"),
  fc.constantFrom(
    "\r\n",
    "\n\n",
    "\r\r\n",
    "\r\n ",
    "\r\n\t",
    "0\r\n\r\n",
    "0x",
    "+",
    " chunked",
    "chunked, ",
    ", chunked",
    "Content-Length: 5\r\n",
    "Content-Length: 6\r\n",
    "Content-Length : 5\r\n",
    "content-length:5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n",
    "5\r\nhello\r\n",
    "ffffffffffffffff",
    "Host: b\r\n",
    "Upgrade: x\r\n",
  ),
);
const mutation = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("insert", "replace", "delete", "repeat"),
  with: splinter,
});

function mutate(text: string, { at, kind, with: what }: { at: number; kind: string; with: string }): string {
  // Half of the mutations go to places that matter: around a line end or a colon.
  const places = at % 2 === 0 ? [...text.matchAll(/[\r\n:;, ]/g)].map(({ index }) => index) : [];
  const place = places.length > 0 ? (places[(at >> 1) % places.length] ?? 0) : (at >> 1) % (text.length + 1);
  if (kind === "insert") return text.slice(0, place) + what + text.slice(place);
  if (kind === "replace") return text.slice(0, place) + what + text.slice(place + what.length);
  if (kind === "delete") return text.slice(0, place) + text.slice(place + 1);
  const line = text.indexOf("\n", place) + 1;
  return line === 0 ? text : text.slice(0, line) + text.slice(place, line) + text.slice(line);
}

it("takes no request that Node refuses or reads otherwise", { timeout: 60_000 }, async () => {
  let taken = 0;
  let refused = 0;
  const stream = fc
    .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), fc.array(mutation, { maxLength: 3 }))
    .map(([requests, mutations]) => mutations.reduce(mutate, requests.join("")));
  await fc.assert(
    fc.asyncProperty(stream, async (text) => {
      const bytes = bytesOf(text);
      const ours = readStream([bytes]);
      const theirs = await nodeReads(bytes);
      if (ours.failure === undefined) taken++;
      else refused++;
      for (const [index, { method, target, body, end }] of ours.requests.entries()) {
        const other = theirs[index];
        if (JUSTIFIED.some(({ test }) => test(text, method))) return;
        // A body that is not whole yet: the pieces of it that either has read may differ, where it ends may not.
        if (end === "open") continue;
        expect(other, JSON.stringify(text)).toEqual({ method, target, body, end });
      }
    }),
    { numRuns: 8000 },
  );
  // Both kinds must be there, or nothing was tested.
  expect(taken).toBeGreaterThan(400);
  expect(refused).toBeGreaterThan(400);
});
