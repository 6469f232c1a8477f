/** One suite over every server of files that there is: reality has the last word. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { fileSuite, fillsUp } from "../testing/file-suite.ts";
import { type CacheMode, mountVirtiofsd, type TestMounted, temporaryRoot } from "../testing/mounts.ts";
import { mountBackEnd, mountInProcess } from "../testing/own-mounts.ts";
import { needPeer, type Peer, virtiofsdPeer } from "../testing/peers.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const ours = (title: string): Peer => ({ title, missing: undefined, command: "" });
const [c, rust] = [virtiofsdPeer("c"), virtiofsdPeer("rust")];
type Mount = (root: string) => Promise<TestMounted>;
const servers: readonly [Peer, CacheMode, Mount][] = [
  [ours("our device, in this thread"), "auto", (root) => mountInProcess("auto", root)],
  [ours("our device, behind our back-end"), "auto", (root) => mountBackEnd("auto", root)],
  ...(["none", "auto", "always"] as const).map((mode): [Peer, CacheMode, Mount] => {
    return [c, mode, (root) => mountVirtiofsd(c.command, mode, root)];
  }),
  ...(["none", "auto", "always"] as const).map((mode): [Peer, CacheMode, Mount] => {
    return [rust, mode, (root) => mountVirtiofsd(rust.command, mode, root)];
  }),
];

describe.each(servers.map(([peer, mode, mount]) => ({ title: peer.title, mode, peer, mount })))(
  "files over $title, cache $mode",
  ({ peer, mount }) => {
    let mounted: TestMounted;
    let full: string | undefined;
    let why = "";

    beforeAll(async () => {
      if (peer.missing !== undefined) return;
      const root = temporaryRoot();
      // Before the server starts: a daemon in a mount namespace of its own sees nothing that is mounted later.
      const at = join(root, "full");
      mkdirSync(at);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", at], { stdio: "pipe" });
        full = at;
      } catch (error) {
        why = String(error);
      }
      mounted = await mount(root);
    });

    afterAll(async () => {
      if (full !== undefined) execFileSync("umount", ["--lazy", full]);
      await mounted?.close();
    });

    fileSuite.forEach(({ name, run }, i) => {
      test(name, async (context) => {
        needPeer(peer, context);
        mkdirSync(join(mounted.root, `case${i}`));
        await run(mounted, `case${i}`);
        expect(mounted.driver.failure).toBeUndefined();
      });
    });

    test("an idle loop sleeps, and an answer wakes it", async (context) => {
      needPeer(peer, context);
      await vi.waitFor(() => expect(mounted.loop.sleeps).toBeGreaterThan(0), 30_000);
      const before = mounted.loop.sleeps;
      await mounted.calls.statfs("/");
      await vi.waitFor(() => expect(mounted.loop.sleeps).toBeGreaterThan(before), 30_000);
    });

    test("ENOSPC on a small tmpfs; there is room again after an unlink", async (context) => {
      needPeer(peer, context);
      if (full === undefined) context.skip(`tmpfs cannot be mounted here: ${why}`);
      await fillsUp(mounted, "full");
    });
  },
);
