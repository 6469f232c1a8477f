// `toril serve` as a client on TCP sees it: the real command, both machines, bytes in and bytes out.
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serve } from "./testing/cli.ts";
import { ask, replies, request, talk } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { encodeName, noise, Site } from "./testing/site.ts";

const site = new Site();
const data = noise(300_000);
const ODD_NAMES: readonly (string | Buffer)[] = [
  "a b.txt",
  "quo\"te's.txt",
  "new\nline.txt",
  "tab\t.txt",
  "percent%41.txt",
  "back\\slash.txt",
  "q?x#y&z=1.txt",
  "ünï-日本-🐂.txt",
  "-rf",
  "...",
  ".hidden",
  "con:aux|<>*.txt",
  "~",
  `${"n".repeat(251)}.txt`,
  "é".repeat(127),
  Buffer.from([0x62, 0xff, 0xfe, 0x01, 0x7f, 0x80, 0x2e, 0x62, 0x69, 0x6e]),
];

beforeAll(() => {
  site.write("index.html", "<h1>home</h1>");
  site.write("data.bin", data);
  site.write("empty.txt", "");
  site.write("sub/index.html", "sub");
  site.write("plain/file.txt", "file");
  site.write("plain/<b>&.txt", "markup");
  for (const [i, name] of ODD_NAMES.entries()) site.write(name, `odd ${i}`);
});

let unixSocket: ReturnType<typeof createServer> | undefined;
beforeAll(async () => {
  site.fifo("fifo");
  unixSocket = createServer().listen(join(site.root, "socket"));
  await new Promise((resolve) => unixSocket?.once("listening", resolve));
});
afterAll(() => {
  unixSocket?.close();
  site.remove();
});

describe.each(MACHINES)("%s machine", (machine) => {
  let served: Served;
  let port: number;
  beforeAll(async () => {
    served = await serve(site.root, "--machine", machine);
    port = served.port;
  });
  afterAll(async () => {
    await served.stop();
  });

  describe("representations", () => {
    test("a file, whole, with type, length and validators", async () => {
      const { status, headers, body } = await ask(port, "/data.bin");
      expect(status).toBe(200);
      expect(body.equals(data)).toBe(true);
      expect(headers).toMatchObject({
        "content-type": "application/octet-stream",
        "content-length": "300000",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
      });
      expect(headers["etag"]).toMatch(/^"[^"]+"$/);
      expect(new Date(headers["last-modified"] ?? "").getTime()).not.toBeNaN();
    });

    test("an empty file is a whole response", async () => {
      const { status, headers, body } = await ask(port, "/empty.txt");
      expect([status, headers["content-length"], body.length]).toEqual([200, "0", 0]);
    });

    test.each([
      ["/", "text/html;charset=utf-8"],
      ["/index.html?query=1", "text/html;charset=utf-8"],
      ["/sub/", "text/html;charset=utf-8"],
      ["/empty.txt", "text/plain;charset=utf-8"],
      ["/-rf", "application/octet-stream"],
    ])("%s is %s", async (target, type) => {
      expect((await ask(port, target)).headers["content-type"]).toBe(type);
    });

    test("RFC 9110 §9.3.2: HEAD has the fields of GET, and no body", async () => {
      const strip = ({ date: _, ...rest }: Readonly<Record<string, string>>): object => rest;
      for (const target of ["/data.bin", "/plain/", "/nothing", "/plain"]) {
        const [get, head] = [await ask(port, target), await ask(port, target, {}, "HEAD")];
        expect(head.status).toBe(get.status);
        expect(strip(head.headers)).toEqual(strip(get.headers));
      }
    });

    test("RFC 9110 §13: ETag and Last-Modified make a 304, which has no body", async () => {
      const { headers } = await ask(port, "/data.bin");
      const { etag = "", "last-modified": modified = "" } = headers;
      for (const fields of [{ "if-none-match": etag }, { "if-modified-since": modified }]) {
        const second = await ask(port, "/data.bin", fields);
        expect([second.status, second.headers["etag"]]).toEqual([304, etag]);
      }
      expect((await ask(port, "/data.bin", { "if-none-match": '"other"' })).status).toBe(200);
      expect((await ask(port, "/data.bin", { "if-match": '"other"' })).status).toBe(412);
    });

    test.each([
      ["bytes=0-0", 0, 1],
      ["bytes=65-90", 65, 91],
      ["bytes=65535-65537", 65_535, 65_538],
      ["bytes=299999-", 299_999, 300_000],
      ["bytes=-7", 299_993, 300_000],
      ["bytes=-999999", 0, 300_000],
      ["bytes=100-999999", 100, 300_000],
    ])("RFC 9110 §14: %s", async (range, start, end) => {
      const { status, headers, body } = await ask(port, "/data.bin", { range });
      expect([status, headers["content-range"]]).toEqual([206, `bytes ${start}-${end - 1}/300000`]);
      expect(body.equals(data.subarray(start, end))).toBe(true);
    });

    test("RFC 9110 §15.5.17 and §14.2: a range beyond the end is 416, one that is malformed is not there", async () => {
      const beyond = await ask(port, "/data.bin", { range: "bytes=300000-" });
      expect([beyond.status, beyond.headers["content-range"]]).toEqual([416, "bytes */300000"]);
      for (const range of ["bytes=9-1", "bytes", "chars=1-2", "bytes=1-2,9-10"]) {
        expect((await ask(port, "/data.bin", { range })).status).toBe(200);
      }
    });

    test("RFC 9110 §13.1.5: If-Range", async () => {
      const { headers } = await ask(port, "/data.bin");
      const range = "bytes=1-2";
      const { etag = "", "last-modified": modified = "" } = headers;
      expect((await ask(port, "/data.bin", { range, "if-range": etag })).status).toBe(206);
      expect((await ask(port, "/data.bin", { range, "if-range": modified })).status).toBe(206);
      expect((await ask(port, "/data.bin", { range, "if-range": '"old"' })).status).toBe(200);
    });

    test("a 404 is a page", async () => {
      const { status, headers, body } = await ask(port, "/nothing/here");
      expect([status, headers["content-type"]]).toEqual([404, "text/html;charset=utf-8"]);
      expect(body.toString()).toMatch(/^<!doctype html>.*404 Not Found.*<\/html>\n$/s);
    });

    test("RFC 9110 §15.5.6: 405 names what is allowed, and the connection goes on", async () => {
      const post = request("POST", "/", { "content-length": "3" });
      const { bytes } = await talk(port, `${post}abc${request("GET", "/empty.txt", { connection: "close" })}`);
      const [refused, served] = replies(bytes, ["POST", "GET"]);
      expect([refused?.status, refused?.headers["allow"], served?.status]).toEqual([405, "GET, HEAD", 200]);
      for (const method of ["PUT", "DELETE", "OPTIONS", "PATCH"]) {
        expect((await ask(port, "/", {}, method)).status).toBe(405);
      }
    });
  });

  describe("paths", () => {
    test("names with odd bytes", async () => {
      for (const [i, name] of ODD_NAMES.entries()) {
        const { status, body } = await ask(port, `/${encodeName(name)}`);
        expect([name, status, body.toString()]).toEqual([name, 200, `odd ${i}`]);
      }
    });

    test("a directory is listed, each link leads to its file, hidden ones are not shown", async () => {
      site.directory("listed/inner");
      const names = ODD_NAMES.filter((name) => !name.toString("latin1").startsWith("."));
      names.forEach((name, i) => {
        site.write(Buffer.concat([Buffer.from("listed/"), Buffer.from(name)]), `listed ${i}`);
      });
      site.write("listed/.secret", "hidden");
      const page = (await ask(port, "/listed/")).body.toString();
      const links = [...page.matchAll(/<a href="([^"]*)">/g)].map((match) => match[1] ?? "");
      expect(links.slice(0, 2)).toEqual(["../", "inner/"]);
      expect(links.slice(2).sort()).toEqual(names.map(encodeName).sort());
      for (const link of links.slice(2)) {
        expect((await ask(port, `/listed/${link}`)).body.toString()).toMatch(/^listed \d+$/);
      }
    });

    test("names are no markup", async () => {
      const page = (await ask(port, "/plain/")).body.toString();
      expect(page).toContain("&lt;b&gt;&amp;.txt");
      expect(page).not.toContain("<b>");
    });

    test("a directory without its slash moves, and takes the query along; never to another host", async () => {
      const moved = await ask(port, "/sub?a=1&b=%22");
      expect([moved.status, moved.headers["location"]]).toEqual([301, "/sub/?a=1&b=%22"]);
      for (const target of ["//sub", "///sub", "/\\sub/../sub", "//evil.example/../sub"]) {
        expect((await ask(port, target)).headers["location"]).toMatch(/^\/sub\/$/);
      }
      expect((await ask(port, "/index.html/")).status).toBe(404);
    });

    test.each(["/%", "/%4", "/%zz", "/a%00b", "/sub%2findex.html", "/%2e%2e%2foutside.txt"])(
      "%s is 400",
      async (target) => {
        expect((await ask(port, target)).status).toBe(400);
      },
    );

    test("no path leads out", async () => {
      site.write("../outside.txt", "SECRET");
      const up = ["/../outside.txt", "/%2e%2e/outside.txt", "/sub/../../outside.txt", "/.%2e/%2e./outside.txt"];
      for (const target of [...up, "/..\\outside.txt", "/etc/passwd", "//etc/passwd"]) {
        expect([target, (await ask(port, target)).status]).toEqual([target, 404]);
      }
    });
  });

  describe("what is no file", () => {
    test("symbolic links work inside, and lead nowhere else", async () => {
      const links: [string, string, number][] = [
        ["relative", "sub/index.html", 200],
        ["absolute", "/sub/index.html", 200], // the guest's root is the directory
        ["up-and-down", "../../../sub/index.html", 200],
        ["outside", "../outside.txt", 404],
        ["etc", "/etc/passwd", 404],
        ["host-path", join(site.root, "index.html"), 404],
        ["dangling", "nothing", 404],
        ["loop-a", "loop-b", 404],
        ["loop-b", "loop-a", 404],
        ["itself", "itself", 404],
      ];
      for (const [name, target, status] of links) {
        site.link(`${machine}-${name}`, target);
        const reply = await ask(port, `/${machine}-${name}`);
        expect([name, reply.status]).toEqual([name, status]);
        expect(reply.body.includes("SECRET") || reply.body.includes("root:")).toBe(false);
      }
      site.link(`${machine}-directory`, "sub");
      expect((await ask(port, `/${machine}-directory/`)).body.toString()).toBe("sub");
    });

    test("pipes and sockets are refused, and nobody waits for them", async () => {
      expect((await ask(port, "/fifo")).status).toBe(403);
      expect((await ask(port, "/socket")).status).toBe(403);
    });
  });

  describe("connections", () => {
    test("pipelined requests are answered in their order, also bytewise", async () => {
      const targets = Array.from({ length: 40 }, (_, i) =>
        i % 3 === 0 ? "/data.bin" : i % 3 === 1 ? "/empty.txt" : "/x",
      );
      const text =
        targets.map((target) => request("GET", target)).join("") + request("GET", "/", { connection: "close" });
      const { bytes, end } = await talk(port, text);
      const all = replies(
        bytes,
        [...targets, "/"].map(() => "GET"),
      );
      expect(all.map((reply) => reply.status)).toEqual([
        ...targets.map((target) => (target === "/x" ? 404 : 200)),
        200,
      ]);
      expect(all.every((reply, i) => i % 3 !== 0 || i === 40 || reply.body.equals(data))).toBe(true);
      expect(end).toBe("closed");
    });

    test("a client that ends its direction first still gets everything", async () => {
      const { bytes, end } = await talk(port, request("GET", "/data.bin"), { halfClose: true });
      expect([replies(bytes, ["GET"])[0]?.body.equals(data), end]).toEqual([true, "closed"]);
    });

    test("HTTP/1.0 closes, unless it asks to keep", async () => {
      expect((await talk(port, "GET /empty.txt HTTP/1.0\r\n\r\n")).end).toBe("closed");
      const kept = await talk(port, "GET /empty.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", { quietMs: 200 });
      expect([kept.end, replies(kept.bytes, ["GET"])[0]?.headers["connection"]]).toEqual(["open", "keep-alive"]);
    });

    test.each<[string, string | Uint8Array, number]>([
      ["HTTP/0.9", "GET /\r\n", 400],
      ["HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
      ["TLS", Buffer.from("1603010200010001fc0303", "hex"), 400],
      ["all bytes", Uint8Array.from({ length: 1024 }, (_, i) => i), 400],
      ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
      ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
      ["bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400],
      [
        "smuggling",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
      ],
      ["raw UTF-8", Buffer.from("GET /ü HTTP/1.1\r\nHost: a\r\n\r\n"), 400],
      ["long target", `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
      ["long field", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(70_000)}\r\n\r\n`, 431],
      ["many fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(1000)}\r\n`, 431],
    ])("%s ends with a word and the end of the connection", async (_, bytes, status) => {
      const answer = await talk(port, bytes, { halfClose: true });
      expect([replies(answer.bytes, ["GET"])[0]?.status, answer.end]).toEqual([status, "closed"]);
    });
  });
});
