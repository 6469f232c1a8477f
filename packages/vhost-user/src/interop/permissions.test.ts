/** EACCES: the guest asks as root, so the daemon must have lost the right to pass over permissions. */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { mountVirtiofsd, temporaryRoot } from "../testing/mounts.ts";
import { needPeer, virtiofsdPeer } from "../testing/peers.ts";

vi.setConfig({ testTimeout: 60_000 });

const capabilities = "modcaps=-dac_override:-dac_read_search";
const peers = [
  { peer: virtiofsdPeer("c"), flags: ["-o", capabilities] },
  { peer: virtiofsdPeer("rust"), flags: [`--${capabilities}`, "--inode-file-handles=never"] },
].map((one) => ({ ...one, title: one.peer.title }));

describe.each(peers)("permissions over $title", ({ peer, flags }) => {
  test("EACCES: somebody else's file and directory", async (context) => {
    needPeer(peer, context);
    const root = temporaryRoot();
    writeFileSync(join(root, "secret"), "x", { mode: 0o600 });
    mkdirSync(join(root, "closed"), { mode: 0o700 });
    writeFileSync(join(root, "open"), "y", { mode: 0o644 });
    for (const name of ["secret", "closed", "open"]) chownSync(join(root, name), 1000, 1000);
    const mounted = await mountVirtiofsd(peer.command, "none", root, flags);
    const { calls } = mounted;
    for (const path of ["/secret", "/closed/x"]) {
      await expect(calls.open(path)).rejects.toMatchObject({ code: "EACCES" });
    }
    await expect(calls.open("/open", { mode: "r+" })).rejects.toMatchObject({ code: "EACCES" });
    const file = await calls.open("/open");
    expect(await calls.read(file, new Uint8Array(5))).toBe(1);
    await calls.close(file);
    await mounted.close();
  });
});
