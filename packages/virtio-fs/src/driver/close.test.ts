import { describe, expect, it } from "vitest";
import { MemoryFileSystem, VirtioFsDevice } from "../device/index.ts";
import { TestMount } from "../testing/index.ts";

describe("close", () => {
  it("leaves no timer: the limit of the reset ran on for two seconds (found by simulation, seed 1)", async () => {
    const device = new VirtioFsDevice({ fileSystem: new MemoryFileSystem(), tag: "test" });
    const mount = await TestMount.start(device);
    await mount.run(mount.driver.close());
    // One of the driver's own looks, a millisecond after the last.
    mount.clock.advance(2);
    expect(mount.clock.pending).toBe(0);
    expect(mount.heap.stats().blocksInUse).toBe(0);
  });
});
