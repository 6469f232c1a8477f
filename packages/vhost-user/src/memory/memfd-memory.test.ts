import { guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { libc } from "../ffi/libc.ts";
import { watch } from "../ffi/watch.ts";
import { MemfdMemory } from "./memfd-memory.ts";

describe("MemfdMemory", () => {
  it("is guest memory, in one region or in several with gaps", () => {
    const memory = new MemfdMemory([
      { base: guestAddress(0), size: 8192 },
      { base: guestAddress(2 ** 32), size: 4096 },
    ]);
    memory.guest.write(guestAddress(2 ** 32 + 8), Uint8Array.of(1, 2, 3));
    expect([...memory.guest.bytes(guestAddress(2 ** 32 + 8), 4)]).toEqual([1, 2, 3, 0]);
    const second = memory.regions[1];
    expect(memory.userAddress(2 ** 32 + 8)).toBe((second?.userAddress ?? 0n) + 8n);
    expect(memory.userAddress(8192)).toBeUndefined();
    memory.close();
  });

  it.each([0, -4096, 100, 2 ** 33, Number.NaN])("a size of %s is refused", (size) => {
    expect(() => new MemfdMemory(size)).toThrow(RangeError);
  });

  it("nine regions are refused", () => {
    const regions = Array.from({ length: 9 }, (_, i) => ({ base: guestAddress(i * 4096), size: 4096 }));
    expect(() => new MemfdMemory(regions)).toThrow(/9 regions/);
  });

  it("its file cannot be made shorter or longer: a peer's truncation would end this process with SIGBUS", () => {
    const memory = new MemfdMemory(8192);
    const fd = memory.regions[0]?.fd ?? -1;
    expect(libc().call.ftruncate(fd, 4096)).toBe(-1);
    expect(libc().call.ftruncate(fd, 16_384)).toBe(-1);
    expect(memory.guest.bytes(guestAddress(8191), 1)[0]).toBe(0);
    memory.close();
  });

  it("views that outlive it are harmless: they read as empty, and nobody sees what is written to them", () => {
    const memory = new MemfdMemory(65_536);
    const view = memory.guest.bytes(guestAddress(0), 65_536);
    const [region] = memory.guest.regions;
    view.fill(0x77);
    memory.close();
    expect(view.every((byte) => byte === 0)).toBe(true);
    view.fill(1);
    expect(Atomics.add(region?.i32 ?? new Int32Array(1), 3, 1)).toBe(0x01010101);
    expect(memory.regions).toEqual([]);
    memory.close();
  });

  it("a thousand of them, closed, leave no descriptor and no mapping but those of views still held", () => {
    const first = new MemfdMemory(4096);
    const fd = first.regions[0]?.fd;
    first.close();
    for (let i = 0; i < 1_000; i++) new MemfdMemory(1 << 20).close();
    const last = new MemfdMemory(4096);
    expect(last.regions[0]?.fd).toBe(fd);
    last.close();
  });
});

describe("watch", () => {
  it("refuses a descriptor that is watched already, which would abort the process", () => {
    const fd = libc().createEventfd();
    const first = watch(fd, () => {});
    expect(() => watch(fd, () => {})).toThrow(/watched already/);
    first.close();
    first.close();
    watch(fd, () => {}).close();
    libc().close(fd);
  });

  it("a promise that is settled by a callback goes on, though nothing else happens in the loop", async () => {
    const fd = libc().createEventfd();
    const rung = new Promise<boolean>((resolve) => {
      const watching = watch(fd, () => {
        watching.close();
        resolve(libc().drain(fd));
      });
    });
    libc().ring(fd);
    expect(await rung).toBe(true);
    libc().close(fd);
  });
});
