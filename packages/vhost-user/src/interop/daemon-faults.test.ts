/** Real daemons that die, stand still, and come back: the driver's calls end, and the machine goes on. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceType } from "@toril/virtio";
import { describe, expect, test, vi } from "vitest";
import { type Daemon, DaemonError } from "../daemons/daemon.ts";
import { startVirtiofsd } from "../daemons/virtiofsd.ts";
import { virtioFsConfig } from "../front-end/options.ts";
import { connectFrontEnd } from "../front-end/transport.ts";
import { mountOn, mountVirtiofsd } from "../testing/mounts.ts";
import { needPeer, virtiofsdPeer } from "../testing/peers.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A signal takes a moment until it has stopped every thread. */
async function standStill(daemon: Daemon): Promise<void> {
  daemon.signal("SIGSTOP");
  await sleep(50);
}

const peers = [virtiofsdPeer("c"), virtiofsdPeer("rust")].map((peer) => ({ title: peer.title, peer }));

describe.each(peers)("faults of $title", ({ peer }) => {
  test("killed mid-request: every pending call ends with EIO, no memory is lost, and a new daemon serves the same guest", async (context) => {
    needPeer(peer, context);
    const mounted = await mountVirtiofsd(peer.command, "none");
    const { root, loop, heap, memory, daemon } = mounted;
    writeFileSync(join(root, "file"), "still here\n");
    // A daemon that stands still takes requests and does not answer.
    await standStill(daemon);
    const pending = Array.from({ length: 20 }, (_, i) => mounted.driver.callsFor().stat(`/missing${i}`));
    const outcomes = Promise.allSettled(pending);
    daemon.signal("SIGKILL");
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "EIO" } });
    }
    expect(mounted.driver.failure).toBeDefined();
    expect(mounted.transport.lost).toBeDefined();
    await expect(mounted.calls.stat("/file")).rejects.toMatchObject({ code: "EIO" });
    await mounted.driver.close();
    loop.remove(mounted.driver);
    expect(heap.stats().bytesInUse).toBe(0);
    expect(await daemon.ended).toBe("SIGKILL");

    // The daemon returns, on another socket; memory and loop are the guest's, and stay.
    const next = await startVirtiofsd({ directory: root, command: peer.command, cache: "none" });
    const transport = await connectFrontEnd({
      ...{ socketPath: next.socketPath, memory, deviceType: DeviceType.FileSystem },
      config: virtioFsConfig("host"),
    });
    const again = await mountOn(transport, root, "none", loop, heap);
    expect(await again.calls.stat("/file")).toMatchObject({ size: 11 });
    await again.driver.close();
    await transport.close();
    await next.stop();
    await mounted.close();
  });

  test("stands still: closing ends in bounded time, memory comes back", async (context) => {
    needPeer(peer, context);
    const mounted = await mountVirtiofsd(peer.command, "none");
    const { daemon, memory } = mounted;
    // A guest of its own on the same memory would be in the way: this one ends first.
    await mounted.driver.close();
    await mounted.transport.close();
    await daemon.stop();
    const next = await startVirtiofsd({ directory: mounted.root, command: peer.command });
    const options = { socketPath: next.socketPath, memory, deviceType: DeviceType.FileSystem, timeoutMs: 3_000 };
    const transport = await connectFrontEnd({ ...options, config: virtioFsConfig("host") });
    const heap = new Heap({ memory: memory.guest, base: guestAddress(0), size: memory.guest.size });
    const { driver } = await mountOn(transport, mounted.root, "none", mounted.loop, heap);
    await standStill(next);
    const pending = driver.callsFor().stat("/missing");
    const outcome = expect(pending).rejects.toMatchObject({ code: expect.stringMatching(/EIO|ENOTCONN/) });
    await transport.reset();
    expect(transport.lost).toMatch(/did not answer/);
    await driver.deviceLost("it stands still");
    await outcome;
    await driver.close();
    expect(heap.stats().bytesInUse).toBe(0);
    next.signal("SIGCONT");
    await next.stop();
    await mounted.close();
  });
});

test("a daemon that is not there, or does not serve: the error has its name and what it said", async () => {
  const directory = "/";
  await expect(startVirtiofsd({ directory, command: "/bin/false" })).rejects.toThrow(DaemonError);
  await expect(startVirtiofsd({ directory, command: "/nowhere/virtiofsd" })).rejects.toThrow(DaemonError);
});
