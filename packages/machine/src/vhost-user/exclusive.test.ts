/** An exclusive core over eventfds: no event loop, a thread that blocks in poll(2), and a daemon in another process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ADAPTIVE_SPIN, bootCore, NO_SPIN, type PlainSystem, runExclusive } from "@toril/kernel";
import { guestAddress } from "@toril/memory";
import {
  connectFrontEnd,
  EventfdBell,
  findDaemons,
  MemfdMemory,
  startVirtiofsd,
  virtioFsConfig,
} from "@toril/vhost-user";
import { DeviceType } from "@toril/virtio";
import { createFileDriver } from "@toril/virtio-fs";
import { expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 60_000 });

const MEMORY = 16 * 2 ** 20;

test.for([
  ["that sleeps at once", NO_SPIN],
  ["that spins for an adaptive while", ADAPTIVE_SPIN],
] as const)(
  "an exclusive core %s: files of a real virtiofsd, timers, and threads that wait",
  async ([, spin], context) => {
    if (process.getuid?.() !== 0 || findDaemons("virtiofsd").length === 0) {
      if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error("TORIL_REQUIRE_PEERS=1, but no virtiofsd to run");
      context.skip("no virtiofsd that can be run");
    }
    const directory = mkdtempSync(join(tmpdir(), "toril-exclusive-"));
    writeFileSync(join(directory, "seven"), "1234567");
    const daemon = await startVirtiofsd({ directory });
    const memory = new MemfdMemory(MEMORY);
    const transport = await connectFrontEnd({
      ...{ socketPath: daemon.socketPath, memory, deviceType: DeviceType.FileSystem, interrupts: "polled" },
      config: virtioFsConfig("host"),
    });
    const bell = new EventfdBell();
    bell.attach(transport);
    const { core, heap } = bootCore<PlainSystem>({
      ...{ id: 0, memory: memory.guest, heap: { base: guestAddress(0), size: MEMORY }, bell },
      now: () => performance.now(),
      system: (threads) => ({ threads }),
    });
    core.dedicate(transport, "transport");
    const loop = runExclusive(core, { bell, spin, drained: () => new Promise((resolve) => setImmediate(resolve)) });
    const driver = await createFileDriver({
      ...{ transport, allocator: heap, clock: core.clock, doorbell: bell, cache: { mode: "none" } },
    });
    core.dedicate(driver, "file driver");
    const threads = Array.from({ length: 4 }, (_, i) =>
      core.spawn(async ({ threads }) => {
        const calls = driver.callsFor({ signal: threads.signal });
        for (let round = 0; round < 50; round++) {
          expect((await calls.stat("/seven")).size).toBe(7);
          if (round % 10 === i) await threads.sleep(1);
        }
        await expect(calls.stat("/missing")).rejects.toMatchObject({ code: "ENOENT" });
        return i;
      }),
    );
    const exits = await Promise.all(threads.map((thread) => thread.ended));
    expect(exits).toEqual([0, 1, 2, 3].map((value) => ({ kind: "returned", value })));
    // A quick daemon on a busy machine may never have let the loop idle; now there is nothing else to do.
    await core.spawn(({ threads }) => threads.sleep(20)).ended;
    await driver.close();
    loop.stop();
    await loop.ended;
    const { waits, spins } = loop.idle.stats;
    if (spin === NO_SPIN) expect(spins).toBe(0);
    expect(waits + spins).toBeGreaterThan(0);
    expect(loop.idle.budgetMs).toBeLessThanOrEqual(spin.capMs);
    expect(heap.stats().bytesInUse).toBe(0);
    await transport.close();
    bell.close();
    await daemon.stop();
    memory.close();
    rmSync(directory, { recursive: true });
  },
);
