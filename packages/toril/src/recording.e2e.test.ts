// --capture and --trace-fuse: what goes through the guest's queues, seen on the guest's side of every machine.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serve } from "./testing/cli.ts";
import { ask } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { Site } from "./testing/site.ts";

const site = new Site();
const folder = mkdtempSync(join(tmpdir(), "toril-recording-"));
beforeAll(() => site.write("page.txt", "the body of the page"));
afterAll(() => {
  site.remove();
  rmSync(folder, { recursive: true });
});

test.each(MACHINES)("%s machine: a download is in the capture, and its requests in the trace", async (machine) => {
  const [capture, trace] = [join(folder, `${machine}.pcap`), join(folder, `${machine}.trace`)];
  const served = await serve(site.root, "--machine", machine, "--capture", capture, "--trace-fuse", trace);
  expect((await ask(served.port, "/page.txt")).body.toString()).toBe("the body of the page");
  await served.stop();
  const packets = readFileSync(capture);
  expect(packets.readUInt32LE(0)).toBe(0xa1b23c4d);
  expect(packets.includes("GET /page.txt HTTP/1.1")).toBe(true);
  expect(packets.includes("the body of the page")).toBe(true);
  const lines = readFileSync(trace, "utf8").trimEnd().split("\n");
  expect(lines[0]).toMatch(/^INIT node=0 = 0, \d+ bytes, \d+ us$/);
  expect(lines).toContainEqual(expect.stringMatching(/^LOOKUP node=1 "page\.txt" = 0, 144 bytes/));
  expect(lines).toContainEqual(expect.stringMatching(/^READ node=\d+ fh=\d+ offset=0 size=\d+ = 0, 36 bytes/));
  expect(lines.at(-1)).toMatch(/^DESTROY /);
});
