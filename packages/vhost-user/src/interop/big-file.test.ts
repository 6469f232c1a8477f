/** A file of 1 GiB, in full: read through each server and hashed, and written through it and hashed by the host. */
import { createHash } from "node:crypto";
import { closeSync, createReadStream, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { pattern } from "../testing/file-suite.ts";
import { mountVirtiofsd, type TestMounted, temporaryRoot } from "../testing/mounts.ts";
import { mountBackEnd } from "../testing/own-mounts.ts";
import { needPeer, type Peer, virtiofsdPeer } from "../testing/peers.ts";

vi.setConfig({ testTimeout: 600_000 });

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const [c, rust] = [virtiofsdPeer("c"), virtiofsdPeer("rust")];
const ours: Peer = { title: "our device, behind our back-end", missing: undefined, command: "" };
const servers: readonly [Peer, (root: string) => Promise<TestMounted>][] = [
  [ours, (root) => mountBackEnd("auto", root)],
  [c, (root) => mountVirtiofsd(c.command, "auto", root)],
  [rust, (root) => mountVirtiofsd(rust.command, "auto", root)],
];

/** Each MiB of it is different from all others. */
function block(number: number): Uint8Array {
  return pattern(MIB, number + 1);
}

describe.each(servers.map(([peer, mount]) => ({ title: peer.title, peer, mount })))(
  "1 GiB over $title",
  ({ peer, mount }) => {
    test("read in full, and hashed; copied in the guest, and hashed by the host", async (context) => {
      needPeer(peer, context);
      // Half a minute for all of them: .ci/run asks for it, once.
      if (process.env["TORIL_FULL"] !== "1") context.skip("takes long: TORIL_FULL=1 runs it");
      const root = temporaryRoot();
      onTestFinished(() => rmSync(join(root, ".."), { recursive: true, force: true }));
      mkdirSync(join(root, "d"));
      const written = createHash("sha256");
      const fd = openSync(join(root, "d", "big"), "w");
      for (let i = 0; i < GIB / MIB; i++) {
        const bytes = block(i);
        written.update(bytes);
        writeSync(fd, bytes);
      }
      closeSync(fd);
      const expected = written.digest("hex");

      const mounted = await mount(root);
      const { calls } = mounted;
      const [from, to] = [await calls.open("/d/big"), await calls.open("/d/copy", { mode: "w" })];
      const read = createHash("sha256");
      const target = new Uint8Array(MIB);
      let total = 0;
      for (;;) {
        const count = await calls.read(from, target);
        if (count === 0) break;
        const bytes = target.subarray(0, count);
        total += count;
        read.update(bytes);
        for (let done = 0; done < count; ) done += await calls.write(to, bytes.subarray(done));
      }
      await calls.close(from);
      await calls.close(to);
      expect([total, read.digest("hex")]).toEqual([GIB, expected]);

      const copied = createHash("sha256");
      for await (const bytes of createReadStream(join(root, "d", "copy"), { highWaterMark: MIB })) {
        copied.update(bytes as Buffer);
      }
      expect(copied.digest("hex")).toBe(expected);
      await mounted.close();
    });
  },
);
