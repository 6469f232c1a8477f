import { expect, test } from "vitest";
import { MemoryFileSystem, VirtioFsDevice } from "../device/index.ts";
import { TestMount } from "../testing/test-mount.ts";
import { describeRequest, fuseTrace } from "./fuse-trace.ts";

test("a line for each request, with what it asks for, how it ended, and how long it took", async () => {
  const fileSystem = new MemoryFileSystem();
  fileSystem.addFile("/d/f", "0123456789");
  const lines: string[] = [];
  let now = 0;
  const tap = fuseTrace(
    (line) => lines.push(line),
    () => (now += 0.5),
  );
  const mount = await TestMount.start(new VirtioFsDevice({ fileSystem, tag: "traced" }), {
    cache: { mode: "none" },
    tap,
  });
  const file = await mount.run(mount.calls.open("/d/f"));
  const bytes = new Uint8Array(4);
  await mount.run(mount.calls.read(file, bytes));
  await mount.run(mount.calls.close(file));
  await expect(mount.run(mount.calls.stat('/no "such"\n'))).rejects.toThrow(/ENOENT/);
  // What the nodes and handles are called is the device's business; FORGET goes out beside other requests.
  const plain = lines.map((line) => line.replace(/(node|fh)=\d+/g, "$1=N").replace(/\d+ us$/, "T us"));
  expect(plain.filter((line) => !line.startsWith("FORGET"))).toEqual([
    "INIT node=N = 0, 80 bytes, T us",
    'LOOKUP node=N "d" = 0, 144 bytes, T us',
    'LOOKUP node=N "f" = 0, 144 bytes, T us',
    "OPEN node=N flags=0o0 = 0, 32 bytes, T us",
    "READ node=N fh=N offset=0 size=4 = 0, 20 bytes, T us",
    "RELEASE node=N fh=N = 0, 16 bytes, T us",
    String.raw`LOOKUP node=N "no \"such\"\x0a" = ENOENT, 16 bytes, T us`,
  ]);
  expect(plain).toContain("FORGET node=N lookups=1 = no reply, T us");
  expect(lines[0]).toMatch(/, 500 us$/);
});

test("a request that is too short is told as such", () => {
  expect(describeRequest(new Uint8Array(39))).toBe("a request of 39 bytes");
});
