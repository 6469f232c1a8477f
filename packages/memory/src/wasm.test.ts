import { afterEach, describe, expect, it, vi } from "vitest";
import { createWasmMemory, instantiateBulk, isShared } from "./wasm.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

describe.each(["shared", "unshared"] as const)("%s wasm memory", (sharing) => {
  it("has the size that was asked for, and zeroes", () => {
    const memory = createWasmMemory(2, sharing);
    expect(memory?.buffer.byteLength).toBe(131_072);
    expect(new Uint8Array(memory?.buffer ?? new ArrayBuffer(1)).some((byte) => byte !== 0)).toBe(false);
    expect(isShared(memory?.buffer ?? new ArrayBuffer(0))).toBe(sharing === "shared");
  });

  it("copies overlapping ranges both ways, and fills", () => {
    const memory = createWasmMemory(1, sharing) ?? expect.unreachable();
    const bulk = instantiateBulk(memory) ?? expect.unreachable();
    const bytes = new Uint8Array(memory.buffer, 0, 8);
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8]);
    bulk.copy(1, 0, 5);
    expect([...bytes]).toEqual([1, 1, 2, 3, 4, 5, 7, 8]);
    bulk.copy(0, 2, 6);
    expect([...bytes]).toEqual([2, 3, 4, 5, 7, 8, 7, 8]);
    bulk.fill(3, 0x1ff, 4);
    expect([...bytes]).toEqual([2, 3, 4, 255, 255, 255, 255, 8]);
  });
});

describe("where WebAssembly is missing", () => {
  it("there is no wasm memory and no bulk instruction", () => {
    const memory = createWasmMemory(1, "unshared") ?? expect.unreachable();
    vi.stubGlobal("WebAssembly", undefined);
    expect(createWasmMemory(1, "shared")).toBeUndefined();
    expect(instantiateBulk(memory)).toBeUndefined();
  });

  it("and where it may not compile, memory works without the instructions", () => {
    const memory = createWasmMemory(1, "unshared") ?? expect.unreachable();
    const forbidden = (): never => {
      throw new Error("forbidden");
    };
    const api: object = Reflect.get(globalThis, "WebAssembly");
    vi.stubGlobal("WebAssembly", { Memory: Reflect.get(api, "Memory"), Module: forbidden });
    expect(instantiateBulk(memory)).toBeUndefined();
  });
});
