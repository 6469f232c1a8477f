/**
 * The two things we need of WebAssembly: memory that threads can share and whose size never changes, and a copy
 * instruction. `Uint8Array.set` on a SharedArrayBuffer runs at a third of the speed of wasm's `memory.copy`.
 *
 * This package is Node-free: WebAssembly is looked up on globalThis, with types for just the part that is used. An
 * engine without it gets ordinary buffers and `set`.
 */

interface WasmMemory {
  readonly buffer: ArrayBufferLike;
}

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared?: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
}

/** Copies `length` bytes inside one wasm memory; offsets in bytes, ranges may overlap. */
export type CopyWithin = (target: number, source: number, length: number) => void;

/** Size of a WebAssembly page in bytes. */
export const WASM_PAGE_SIZE = 65_536;

function wasmApi(): WasmApi | undefined {
  const candidate = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
  return typeof candidate?.Memory === "function" ? candidate : undefined;
}

/** A fresh zeroed wasm memory, or `undefined` where the engine has no WebAssembly. */
export function createWasmMemory(pages: number, sharing: "shared" | "unshared"): WasmMemory | undefined {
  const api = wasmApi();
  if (api === undefined) return undefined;
  return new api.Memory({ initial: pages, maximum: pages, shared: sharing === "shared" });
}

/** The copy function for a memory, or `undefined` where the engine has no WebAssembly. */
export function instantiateCopy(memory: WasmMemory): CopyWithin | undefined {
  const api = wasmApi();
  if (api === undefined) return undefined;
  const shared = !(memory.buffer instanceof ArrayBuffer);
  const instance = new api.Instance(new api.Module(copyModule(shared)), { m: { m: memory } });
  const copy = instance.exports["c"];
  return typeof copy === "function" ? (copy as CopyWithin) : undefined;
}

/** `(func (export "c") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))`, assembled. */
function copyModule(shared: boolean): Uint8Array {
  // A shared memory must be imported with a maximum; 65,536 pages is the most a 32-bit memory can have.
  const limits = shared ? [0x03, 0x00, 0x80, 0x80, 0x04] : [0x00, 0x00];
  return Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic "\0asm", version 1
    ...[0x01, 0x07, 0x01, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x00], // types: (i32, i32, i32) -> ()
    ...[0x02, 6 + limits.length, 0x01, 0x01, 0x6d, 0x01, 0x6d, 0x02, ...limits], // import "m" "m": memory
    ...[0x03, 0x02, 0x01, 0x00], // functions: one, of type 0
    ...[0x07, 0x05, 0x01, 0x01, 0x63, 0x00, 0x00], // export "c": function 0
    ...[0x0a, 0x0e, 0x01, 0x0c, 0x00], // code: one body of 12 bytes, no locals
    ...[0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfc, 0x0a, 0x00, 0x00, 0x0b], // get 0 1 2, memory.copy, end
  );
}
