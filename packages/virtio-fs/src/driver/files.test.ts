import { describe, expect, test } from "vitest";
import { MemoryFileSystem, VirtioFsDevice } from "../device/index.ts";
import { TestMount } from "../testing/test-mount.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function mounted(options = {}): Promise<{ mount: TestMount; fs: MemoryFileSystem }> {
  const fs = new MemoryFileSystem();
  const mount = await TestMount.start(new VirtioFsDevice({ fileSystem: fs, tag: "host" }), options);
  return { mount, fs };
}

describe("one file over real rings", () => {
  test("open, stat, read, close", async () => {
    const { mount, fs } = await mounted();
    fs.addFile("/site/index.html", "<h1>Toril</h1>");
    const { calls } = mount;
    expect(mount.driver.tag).toBe("host");
    const file = await mount.run(calls.open("/site/index.html"));
    expect((await mount.run(calls.stat("/site/index.html"))).size).toBe(14);
    const target = new Uint8Array(100);
    expect(await mount.run(calls.read(file, target))).toBe(14);
    expect(text(target.subarray(0, 14))).toBe("<h1>Toril</h1>");
    expect(await mount.run(calls.read(file, target))).toBe(0);
    await mount.run(calls.close(file));
    await mount.run(mount.driver.close());
    expect(mount.driver.failure).toBeUndefined();
  });
});
