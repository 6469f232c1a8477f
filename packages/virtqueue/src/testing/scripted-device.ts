/**
 * A device that does exactly what a test tells it, right or wrong: it reads what the driver made available, and writes
 * raw used elements and indices. Put a real `SplitDriverQueue` (or a whole driver) on the other side.
 */
import type { GuestMemory } from "@toril/memory";
import { availableRingBytes, type QueueLayout, usedRingBytes } from "../queue-layout.ts";
import { DESCRIPTOR_INDIRECT, DESCRIPTOR_NEXT, type RawDescriptor, readRawDescriptor } from "./raw-descriptor.ts";
import { readLe16, writeLe16, writeLe32 } from "./raw-memory.ts";

export class ScriptedDevice {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** Free-running index of the next available entry that `takeAvailable` reads. */
  availableIndex = 0;
  /** Free-running index of the next used element; a test may set it to anything. */
  usedIndex = 0;

  constructor(memory: GuestMemory, layout: QueueLayout) {
    this.memory = memory;
    this.layout = layout;
  }

  /** The heads that the driver has published since the last call. */
  takeAvailable(): number[] {
    const heads: number[] = [];
    const end = this.readAvailableIndex();
    for (; this.availableIndex !== end; this.availableIndex = (this.availableIndex + 1) % 65_536) {
      heads.push(readLe16(this.memory, this.layout.availableRing + 4 + 2 * (this.availableIndex % this.layout.size)));
    }
    return heads;
  }

  /** The buffers of the chain at `head`, through an indirect table where there is one; as the driver wrote them. */
  readChain(head: number): Required<RawDescriptor>[] {
    return this.#walk(this.layout.descriptorTable, head, this.layout.size);
  }

  readAvailableFlags(): number {
    return readLe16(this.memory, this.layout.availableRing);
  }

  readAvailableIndex(): number {
    return readLe16(this.memory, this.layout.availableRing + 2);
  }

  /** used_event (EVENT_IDX). */
  readUsedEvent(): number {
    return readLe16(this.memory, this.layout.availableRing + availableRingBytes(this.layout.size) - 2);
  }

  /** Returns a chain and publishes it. */
  use(id: number, length: number): void {
    const at = this.layout.usedRing + 4 + 8 * (this.usedIndex % this.layout.size);
    writeLe32(this.memory, at, id);
    writeLe32(this.memory, at + 4, length);
    this.usedIndex = (this.usedIndex + 1) % 65_536;
    this.writeUsedIndex(this.usedIndex);
  }

  /** Writes used.idx alone. */
  writeUsedIndex(index: number): void {
    writeLe16(this.memory, this.layout.usedRing + 2, index);
  }

  /** Writes used.flags: 1 asks for no notifications. */
  writeFlags(flags: number): void {
    writeLe16(this.memory, this.layout.usedRing, flags);
  }

  /** Writes avail_event (EVENT_IDX). */
  writeAvailEvent(index: number): void {
    writeLe16(this.memory, this.layout.usedRing + usedRingBytes(this.layout.size) - 2, index);
  }

  #walk(table: number, head: number, size: number): Required<RawDescriptor>[] {
    const buffers: Required<RawDescriptor>[] = [];
    let index = head;
    for (let visited = 0; visited < size; visited++) {
      const raw = readRawDescriptor(this.memory, table, index);
      if ((raw.flags & DESCRIPTOR_INDIRECT) !== 0) return [...buffers, ...this.#walk(raw.address, 0, raw.length / 16)];
      buffers.push(raw);
      if ((raw.flags & DESCRIPTOR_NEXT) === 0) return buffers;
      index = raw.next;
    }
    throw new Error(`the chain at ${head} does not end within ${size} descriptors`);
  }
}
