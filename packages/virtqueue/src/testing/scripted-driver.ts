/**
 * A driver that does exactly what a test tells it, right or wrong: it writes raw descriptors, available entries and
 * indices, and reads what the device answered. Put a real `SplitDeviceQueue` (or a whole device) on the other side.
 */
import type { GuestMemory } from "@toril/memory";
import { availableRingBytes, type QueueLayout, usedRingBytes } from "../queue-layout.ts";
import { type RawDescriptor, writeRawDescriptor } from "./raw-descriptor.ts";
import { readLe16, readLe32, writeLe16 } from "./raw-memory.ts";

export interface UsedElement {
  readonly id: number;
  readonly length: number;
}

export class ScriptedDriver {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** Free-running index of the next available entry; a test may set it to anything. */
  availableIndex = 0;
  /** Free-running index of the next used element that `takeUsed` reads. */
  usedIndex = 0;

  constructor(memory: GuestMemory, layout: QueueLayout) {
    this.memory = memory;
    this.layout = layout;
  }

  /** Writes descriptor `index` of the descriptor table. */
  describe(index: number, raw: RawDescriptor): void {
    writeRawDescriptor(this.memory, this.layout.descriptorTable, index, raw);
  }

  /** Writes a table of indirect descriptors to guest memory at `address`. */
  describeTable(address: number, descriptors: readonly RawDescriptor[]): void {
    descriptors.forEach((raw, index) => {
      writeRawDescriptor(this.memory, address, index, raw);
    });
  }

  /** Makes chains available, in one step: their heads go to the next entries, then idx moves. */
  offer(...heads: readonly number[]): void {
    const { availableRing, size } = this.layout;
    for (const head of heads) {
      writeLe16(this.memory, availableRing + 4 + 2 * (this.availableIndex % size), head);
      this.availableIndex = (this.availableIndex + 1) % 65_536;
    }
    this.writeAvailableIndex(this.availableIndex);
  }

  /** Writes avail.idx alone. */
  writeAvailableIndex(index: number): void {
    writeLe16(this.memory, this.layout.availableRing + 2, index);
  }

  /** Writes avail.flags: 1 asks for no interrupts. */
  writeFlags(flags: number): void {
    writeLe16(this.memory, this.layout.availableRing, flags);
  }

  /** Writes used_event (EVENT_IDX). */
  writeUsedEvent(index: number): void {
    writeLe16(this.memory, this.layout.availableRing + availableRingBytes(this.layout.size) - 2, index);
  }

  /** used.flags: 1: the device asks for no notifications. */
  readUsedFlags(): number {
    return readLe16(this.memory, this.layout.usedRing);
  }

  readUsedIndex(): number {
    return readLe16(this.memory, this.layout.usedRing + 2);
  }

  /** avail_event (EVENT_IDX). */
  readAvailEvent(): number {
    return readLe16(this.memory, this.layout.usedRing + usedRingBytes(this.layout.size) - 2);
  }

  /** The elements that the device has published since the last call. */
  takeUsed(): UsedElement[] {
    const elements: UsedElement[] = [];
    const end = this.readUsedIndex();
    for (; this.usedIndex !== end; this.usedIndex = (this.usedIndex + 1) % 65_536) {
      const at = this.layout.usedRing + 4 + 8 * (this.usedIndex % this.layout.size);
      elements.push({ id: readLe32(this.memory, at), length: readLe32(this.memory, at + 4) });
    }
    return elements;
  }
}
