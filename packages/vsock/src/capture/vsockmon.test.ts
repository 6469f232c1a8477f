import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HOST_CID, port } from "../address.ts";
import { createLoopback } from "../testing/loopback.ts";
import { vsockCapture } from "./vsockmon.ts";

/** A connection that says "ping", hears "pong", and closes; the capture of it. */
async function capturedPingPong(): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let now = 1_700_000_000_000.25;
  const tap = vsockCapture(
    (bytes) => pieces.push(bytes),
    () => (now += 0.5),
  );
  const { driver, device, settle } = await createLoopback({ driver: { tap } });
  device.listen(port(7), (stream) => ({
    data: (chunk) => {
      expect(new TextDecoder().decode(chunk.bytes.slice())).toBe("ping");
      chunk.release();
      stream.write(new TextEncoder().encode("pong"));
    },
    end: () => stream.end(),
    drain() {},
    closed() {},
  }));
  const connection = driver.connect({ cid: HOST_CID, port: port(7) });
  settle();
  connection.trySend(new TextEncoder().encode("ping"));
  settle();
  connection.close();
  settle();
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

describe("a capture", () => {
  it("has the file header of nanosecond pcap with LINKTYPE_VSOCK, then the REQUEST, byte by byte", async () => {
    const bytes = await capturedPingPong();
    expect([...bytes.subarray(0, 24)]).toEqual([
      ...[0x4d, 0x3c, 0xb2, 0xa1], // magic: nanoseconds, little-endian
      ...[2, 0, 4, 0], // version 2.4
      ...[0, 0, 0, 0], // time zone
      ...[0, 0, 0, 0], // accuracy
      ...[0, 0, 4, 0], // snap length: 256 KiB
      ...[0x0f, 0x01, 0, 0], // 271: LINKTYPE_VSOCK
    ]);
    const source = [...bytes.subarray(24 + 16 + 16, 24 + 16 + 20)];
    expect([...bytes.subarray(24, 24 + 16 + 32 + 44)]).toEqual([
      ...[0x00, 0xf1, 0x53, 0x65], // seconds: 1,700,000,000
      ...[0xb0, 0x71, 0x0b, 0x00], // nanoseconds: 750,000
      ...[76, 0, 0, 0], // bytes here: 32 + 44
      ...[76, 0, 0, 0], // bytes there were
      ...[3, 0, 0, 0, 0, 0, 0, 0], // src_cid: the guest
      ...[2, 0, 0, 0, 0, 0, 0, 0], // dst_cid: the host
      ...source, // src_port: ephemeral
      ...[7, 0, 0, 0], // dst_port
      ...[1, 0], // AF_VSOCK_OP_CONNECT
      ...[2, 0], // AF_VSOCK_TRANSPORT_VIRTIO
      ...[44, 0], // length of the virtio header
      ...[0, 0], // reserved
      ...[3, 0, 0, 0, 0, 0, 0, 0], // §5.10.6: src_cid
      ...[2, 0, 0, 0, 0, 0, 0, 0], // dst_cid
      ...source, // src_port
      ...[7, 0, 0, 0], // dst_port
      ...[0, 0, 0, 0], // len
      ...[1, 0], // type: STREAM
      ...[1, 0], // op: REQUEST
      ...[0, 0, 0, 0], // flags
      ...[0, 0, 4, 0], // buf_alloc: 256 KiB
      ...[0, 0, 0, 0], // fwd_cnt
    ]);
  });

  it("keeps a packet that is too short for a header, as it is", () => {
    const pieces: Uint8Array[] = [];
    const tap = vsockCapture(
      (bytes) => pieces.push(bytes),
      () => 0,
    );
    tap.used(0, { readable: [], writable: [Uint8Array.of(1, 2, 3), new Uint8Array(100)] }, 2);
    expect([...(pieces[1] ?? [])]).toEqual([
      ...[0, 0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 34, 0, 0, 0],
      ...Array(32).fill(0),
      1,
      2,
    ]);
  });

  it("ignores what is no packet: receive buffers on their way out, events", () => {
    const pieces: Uint8Array[] = [];
    const tap = vsockCapture(
      (bytes) => pieces.push(bytes),
      () => 0,
    );
    tap.available(0, { readable: [], writable: [new Uint8Array(100)] });
    tap.used(1, { readable: [new Uint8Array(44)], writable: [] }, 0);
    tap.used(2, { readable: [], writable: [new Uint8Array(8)] }, 4);
    expect(pieces).toHaveLength(1);
  });
});

const required = process.env.TORIL_REQUIRE_PEERS === "1";
const found = spawnSync("tshark", ["--version"]).status === 0;

describe.skipIf(!found && !required)("Wireshark", () => {
  const folder = mkdtempSync(join(tmpdir(), "toril-capture-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  it("reads it: every packet with its operation, ports and payload, none malformed", async () => {
    const file = join(folder, "ping.pcap");
    writeFileSync(file, await capturedPingPong());
    const fields = [
      "vsock.src_cid",
      "vsock.dst_cid",
      "vsock.op",
      "vsock.virtio.op",
      "vsock.virtio.len",
      "vsock.payload",
    ];
    const args = ["-r", file, "-T", "fields", "-E", "separator=;", ...fields.flatMap((name) => ["-e", name])];
    const { status, stdout, stderr } = spawnSync("tshark", args, { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    const [ping, pong] = ["ping", "pong"].map((text) => Buffer.from(text).toString("hex"));
    // The header's addresses, then vsockmon's operation, virtio's, its length, the payload.
    const lines = stdout.trim().split("\n");
    expect(lines).toContain("3;2;1;1;0;");
    expect(lines).toContain("2;3;1;2;0;");
    expect(lines).toContain(`3;2;4;5;4;${ping}`);
    expect(lines).toContain(`2;3;4;5;4;${pong}`);
    expect(lines.filter((line) => line.startsWith("3;2;2;4;"))).not.toHaveLength(0);
    const malformed = spawnSync("tshark", ["-r", file, "-Y", "_ws.malformed"], { encoding: "utf8" });
    expect(malformed.stdout).toBe("");
  });
});
