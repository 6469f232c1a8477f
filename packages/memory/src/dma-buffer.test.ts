import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DmaBuffer, DmaBufferError } from "./dma-buffer.ts";
import { guestAddress } from "./guest-address.ts";
import { GuestMemory } from "./guest-memory.ts";

const memory = GuestMemory.allocate({ size: 65_536 });

function makeBuffer(): { buffer: DmaBuffer; freed: () => number } {
  let count = 0;
  const buffer = new DmaBuffer(memory, guestAddress(4096), 100, () => {
    count++;
  });
  return { buffer, freed: () => count };
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof DmaBufferError) return `${error.code} ${error.address}`;
    throw error;
  }
  return "fine";
}

const LENT = "ERR_BUFFER_LENT 4096";
const FREED = "ERR_BUFFER_FREED 4096";
const NOT_LENT = "ERR_BUFFER_NOT_LENT 4096";

describe("a DMA buffer", () => {
  it("is a view of guest memory, and always the same one", () => {
    const { buffer } = makeBuffer();
    buffer.writable[0] = 7;
    expect(memory.bytes(guestAddress(4096), 1)[0]).toBe(7);
    expect(buffer.bytes).toBe(buffer.writable);
    expect(buffer.bytes.length).toBe(100);
  });

  it("must lie in guest memory", () => {
    expect(() => new DmaBuffer(memory, guestAddress(65_530), 100, () => {})).toThrow(/not in guest memory/);
  });

  it("lent to read may be read and lent to read again, and nothing else", () => {
    const { buffer, freed } = makeBuffer();
    buffer.lendToRead();
    expect(buffer.state).toBe("lent-to-read");
    expect(codeOf(() => buffer.bytes)).toBe("fine");
    expect(codeOf(() => buffer.lendToRead())).toBe("fine");
    expect(codeOf(() => buffer.writable)).toBe(LENT);
    expect(codeOf(() => buffer.lendToWrite())).toBe(LENT);
    expect(codeOf(() => buffer.free())).toBe(LENT);
    buffer.giveBack();
    expect(codeOf(() => buffer.free())).toBe(LENT);
    buffer.giveBack();
    expect(buffer.state).toBe("owned");
    expect(codeOf(() => buffer.giveBack())).toBe(NOT_LENT);
    buffer.free();
    expect(freed()).toBe(1);
  });

  it("lent to write may not be touched", () => {
    const { buffer } = makeBuffer();
    buffer.lendToWrite();
    expect(buffer.state).toBe("lent-to-write");
    for (const action of [
      () => buffer.bytes,
      () => buffer.writable,
      () => buffer.lendToRead(),
      () => buffer.lendToWrite(),
      () => buffer.free(),
    ]) {
      expect(codeOf(action)).toBe(LENT);
    }
    buffer.giveBack();
    expect(codeOf(() => buffer.giveBack())).toBe(NOT_LENT);
    expect(codeOf(() => buffer.writable)).toBe("fine");
  });

  it("freed is of no more use, and freed once", () => {
    const { buffer, freed } = makeBuffer();
    buffer.free();
    expect(buffer.state).toBe("freed");
    for (const action of [
      () => buffer.bytes,
      () => buffer.writable,
      () => buffer.lendToRead(),
      () => buffer.lendToWrite(),
      () => buffer.giveBack(),
      () => buffer.free(),
      () => buffer.retire(),
    ]) {
      expect(codeOf(action)).toBe(FREED);
    }
    expect(freed()).toBe(1);
  });

  it("retired goes with its last loan, which may be one that was added since", () => {
    const { buffer, freed } = makeBuffer();
    buffer.lendToRead();
    buffer.retire();
    expect(codeOf(() => buffer.retire())).toBe(FREED);
    buffer.lendToRead();
    buffer.giveBack();
    expect(freed()).toBe(0);
    buffer.giveBack();
    expect(freed()).toBe(1);
    expect(buffer.state).toBe("freed");
  });

  it("retired while nobody holds it goes at once; while lent to write, when it comes back", () => {
    const idle = makeBuffer();
    idle.buffer.retire();
    expect(idle.freed()).toBe(1);
    const lent = makeBuffer();
    lent.buffer.lendToWrite();
    lent.buffer.retire();
    expect(lent.freed()).toBe(0);
    lent.buffer.giveBack();
    expect(lent.freed()).toBe(1);
  });

  it("follows the borrow rules through any sequence of calls", () => {
    const call = fc.constantFrom("lendToRead", "lendToWrite", "giveBack", "free", "retire");
    fc.assert(
      fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
        const { buffer, freed } = makeBuffer();
        let readers = 0;
        let writer = 0;
        let retired = false;
        let gone = false;
        for (const name of calls) {
          const free = readers === 0 && writer === 0 && !gone;
          const allowed = {
            lendToRead: !gone && writer === 0,
            lendToWrite: free,
            giveBack: !gone && readers + writer > 0,
            free,
            retire: !gone && !retired,
          }[name];
          expect(codeOf(() => buffer[name]()) === "fine").toBe(allowed);
          if (!allowed) continue;
          if (name === "lendToRead") readers++;
          if (name === "lendToWrite") writer = 1;
          if (name === "giveBack" && writer === 1) writer = 0;
          else if (name === "giveBack") readers--;
          if (name === "free") gone = true;
          if (name === "retire") retired = true;
          if (retired && readers + writer === 0) gone = true;
          expect(freed()).toBe(gone ? 1 : 0);
        }
      }),
    );
  });
});
