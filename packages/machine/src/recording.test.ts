import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { recorder } from "../test/support.ts";
import { checkRecording, startRecording } from "./recording.ts";

const folder = mkdtempSync(join(tmpdir(), "toril-recording-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("writes each record at once; after close nothing", () => {
  const { log, lines } = recorder();
  const path = join(folder, "a.pcap");
  const recording = startRecording({ vsock: path }, log);
  expect(readFileSync(path)).toHaveLength(24);
  const chain = { readable: [new Uint8Array(44)], writable: [] };
  recording.vsock?.available(1, chain);
  expect(readFileSync(path)).toHaveLength(24 + 16 + 32 + 44);
  expect(recording.files).toBeUndefined();
  recording.close();
  recording.close();
  expect(lines).toEqual([]);
});

it("a file that cannot be opened is an error with its code, and leaves no descriptor", () => {
  const { log } = recorder();
  const wrong = { files: join(folder, "trace"), vsock: join(folder, "nowhere", "a.pcap") };
  expect(() => startRecording(wrong, log)).toThrow(
    expect.objectContaining({
      code: "ENOENT",
      message: expect.stringMatching(/^cannot record into .*a\.pcap: ENOENT/),
    }),
  );
  expect(() => checkRecording(wrong)).toThrow(/cannot record/);
});

it("a full disk ends the recording, once and in the log; the machine goes on", () => {
  const { log, lines } = recorder();
  const recording = startRecording({ files: "/dev/full" }, log);
  for (let i = 0; i < 3; i++) {
    const chain = { readable: [new Uint8Array(40)], writable: [new Uint8Array(16)] };
    recording.files?.available(1, chain);
    recording.files?.used(1, chain, 16);
  }
  recording.close();
  expect(lines.map(({ message }) => message)).toEqual(["recording ends: the file cannot be written"]);
});
