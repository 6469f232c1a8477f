import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { boot, client, echo, program } from "../test/support.ts";

const folder = mkdtempSync(join(tmpdir(), "toril-tuning-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** pcap and vsockmon headers come before a packet's own; its buf_alloc is at 36, its op at 30. */
const FILE_HEADER = 24;
const BEFORE_PACKET = 16 + 32;

/** What REQUEST and RESPONSE say: the windows of the two ends. */
function windows(capture: Buffer): Map<number, number> {
  const found = new Map<number, number>();
  for (let at = FILE_HEADER; at < capture.length; at += 16 + capture.readUInt32LE(at + 8)) {
    const packet = at + BEFORE_PACKET;
    found.set(capture.readUInt16LE(packet + 30), capture.readUInt32LE(packet + 36));
  }
  return found;
}

describe.each(["inline", "dedicated"] as const)("the %s machine, tuned", (kind) => {
  it("its ends have the windows they were given, and its loops do not spin", async () => {
    const vsock = join(folder, `${kind}.pcap`);
    const tuning = { driver: { bufAlloc: 12_345 }, device: { bufAlloc: 23_456 }, idling: "sleep" } as const;
    const { machine } = await boot(kind, { tuning, record: { vsock } });
    await (await machine.start(program("echoes"))).ready;
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    expect(await echo(socket, "hello")).toBe("hello");
    socket.destroy();
    const stats = JSON.stringify(await machine.stats());
    await machine.stop();
    const said = windows(readFileSync(vsock));
    expect([said.get(1), said.get(2)]).toEqual([23_456, 12_345]);
    expect([...stats.matchAll(/"spins":(\d+)/g)].map(([, spins]) => spins)).toEqual(
      kind === "inline" ? ["0"] : ["0", "0"],
    );
  });
});
