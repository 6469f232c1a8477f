/**
 * The split ring, both roles. What only another order of accesses brings to light (a barrier that is missing) no test of
 * one thread can see: those mutants are the explorer's.
 */
import type { Mutant } from "./mutant.ts";

const MODEL = "src/queue-model.test.ts";
const DRIVER = { package: "virtqueue", file: "src/driver-queue.ts", tests: ["src/driver-queue.test.ts", MODEL] };
const DEVICE = { package: "virtqueue", file: "src/device-queue.ts", tests: ["src/device-queue.test.ts", MODEL] };
const READER = { package: "virtqueue", file: "src/chain-reader.ts", tests: ["src/chain-reader.test.ts"] };
const EVENT = { package: "virtqueue", file: "src/event-idx.ts", tests: ["src/event-idx.test.ts"] };
const SWITCH = {
  package: "virtqueue",
  file: "src/notification-switch.ts",
  tests: ["src/notification-switch.test.ts", "src/driver-queue.test.ts"],
};

export const ringMutants: readonly Mutant[] = [
  {
    ...DRIVER,
    what: "whether to notify is decided by the last chain of a batch alone",
    why: "right as long as each chain is published by itself",
    text: "return passesEvent(this.#used.loadEvent(), now, before);",
    replacement: "return passesEvent(this.#used.loadEvent(), now, (now - 1) & 0xffff);",
  },
  {
    ...DRIVER,
    what: "a device may move used.idx beyond what it has been shown",
    why: "the size of the ring is the bound that comes to mind",
    text: "    if (waiting > shown) {",
    replacement: "    if (waiting > this.size) {",
  },
  {
    ...DRIVER,
    what: "the driver does not look again after it has asked for notifications",
    why: "it has just polled",
    text: "return this.#used.loadIndex() !== this.#nextUsed;",
    replacement: "return false;",
  },
  {
    ...DRIVER,
    what: "after a reset the driver believes that it still suppresses notifications",
    why: "the ring's memory is zeroed, and that looks like all there is",
    text: "    this.#notifications.reset();\n",
    replacement: "",
  },
  {
    ...DRIVER,
    what: "a queue that a device has broken goes on",
    why: "the violation is noted; who stops for it?",
    text: "    if (now === before || this.#violation !== undefined) return false;",
    replacement: "    if (now === before) return false;",
  },
  {
    ...DRIVER,
    what: "heads go to the entry after the one that the index names",
    why: "idx is where the next one goes, or where the last one went: §2.7.6 has to be read twice",
    text: "this.#availableEntries[index & this.#slotMask] =",
    replacement: "this.#availableEntries[(index + 1) & this.#slotMask] =",
  },
  {
    ...DEVICE,
    what: "a driver may name a chain that the device still has",
    why: "an honest driver has no such descriptor to give",
    text: "    if ((heads[head] ?? 0) >= 0) return this.#refuseRepeatedHead(head);\n",
    replacement: "",
  },
  {
    ...DEVICE,
    what: "a head one past the table is taken",
    why: "`>` for `>=`",
    text: "if (head >= this.size) return this.#refuseHead(head);",
    replacement: "if (head > this.size) return this.#refuseHead(head);",
  },
  {
    ...DEVICE,
    what: "a driver may publish more chains than it has got descriptors back for",
    why: "the size of the ring is the bound that comes to mind",
    text: "const room = this.size - indexDistance(this.#publishedUsed, this.#nextAvailable);",
    replacement: "const room = this.size;",
  },
  {
    ...DEVICE,
    what: "a chain may be completed twice",
    why: "the device is our own code, and takes care",
    text: "    heads[head] = -1;\n",
    replacement: "",
  },
  {
    ...DEVICE,
    what: "the device does not look again after it has asked for notifications",
    why: "it has just looked",
    text: "return this.#available.loadIndex() !== this.#nextAvailable;",
    replacement: "return false;",
  },
  {
    ...DEVICE,
    what: "whether to interrupt is decided by the last completion alone",
    why: "right as long as each is published by itself",
    text: "return passesEvent(this.#available.loadEvent(), now, before);",
    replacement: "return passesEvent(this.#available.loadEvent(), now, (now - 1) & 0xffff);",
  },
  {
    ...EVENT,
    what: "events are compared with `<`",
    why: "right until the index wraps",
    text: "indexDistance(event + 1, now) < indexDistance(before, now)",
    replacement: "before <= event && event < now",
  },
  {
    ...EVENT,
    what: "the event fires one entry late",
    why: "§2.7.10's `- 1` is easily lost: the event names an entry, not an index after it",
    text: "indexDistance(event + 1, now)",
    replacement: "indexDistance(event, now)",
  },
  {
    ...SWITCH,
    what: "the event that is to come is left in place when notifications are suppressed",
    why: "nobody asked again, so nothing seems to be asked for",
    text: "else if (this.#event === next) this.#fields.storeEvent(indexBefore(next));",
    replacement: "else if (this.#event === next) this.#fields.storeEvent(next);",
  },
  {
    ...SWITCH,
    what: "the event is asked for one entry late",
    why: "the next index to look at, or the one after",
    text: "if (this.#eventIdx) this.#fields.storeEvent(next);",
    replacement: "if (this.#eventIdx) this.#fields.storeEvent((next + 1) & 0xffff);",
  },
  {
    ...READER,
    what: "a loop of descriptors is walked until the chain is too long",
    why: "another limit stops it, too; but not with what is wrong",
    text: "        if (visited >= entries) return loop(head, entries);\n",
    replacement: "",
  },
  {
    ...READER,
    what: "readable buffers behind writable ones are taken",
    why: "§2.7.4.2 binds the driver; a device that counts both kinds works all the same",
    text: "          if (count !== readableCount) return readableAfterWritable(head);\n",
    replacement: "",
  },
  {
    ...READER,
    what: "a next that is one past the table is followed",
    why: "`>` for `>=`",
    text: "if (index >= entries) return nextOutOfRange(head, index, entries);",
    replacement: "if (index > entries) return nextOutOfRange(head, index, entries);",
  },
  {
    ...READER,
    what: "an indirect table may end in the middle of a descriptor",
    why: "the shift rounds down, and what is left over is never looked at",
    text: "if (length === 0 || (length & 15) !== 0 || entries",
    replacement: "if (length === 0 || entries",
  },
  {
    ...READER,
    what: "indirect descriptors are read although they were not negotiated",
    why: "it works, and the driver asked for it",
    text: '    if (this.#indirect === "refused") return indirectNotNegotiated(head);\n',
    replacement: "",
  },
  {
    package: "virtqueue",
    file: "src/chain.ts",
    tests: ["src/chain.test.ts", "src/device-queue.test.ts"],
    what: "a device writes from the chain's first segment on",
    why: "right for chains that only have room to write",
    text: "for (let i = this.readableCount; i < this.count && done < source.length; i++) {",
    replacement: "for (let i = 0; i < this.count && done < source.length; i++) {",
  },
  {
    package: "virtqueue",
    file: "src/used-ring.ts",
    tests: ["src/used-ring.test.ts"],
    what: "avail_event is looked for one entry before the ring's end",
    why: "sizes in halves, words and elements of eight bytes: easily mixed up",
    text: "this.#availEvent = bytes / 2 - 1;",
    replacement: "this.#availEvent = bytes / 2 - 2;",
  },
];
