/** Bugs as changes of the packages' sources: accesses in the wrong order, looks that are missing. */
import type { SourceChange } from "./load.ts";
import type { MemoryModel } from "./machine.ts";

export interface ChangedSource {
  readonly name: string;
  readonly changes: readonly SourceChange[];
}

export interface ChangedRing extends ChangedSource {
  /** What the ring negotiates that brings the bug to light. */
  readonly on: "EVENT_IDX" | "flags";
  /** All models unless told. */
  readonly foundBy?: readonly MemoryModel[];
}

const WAKE_WORD = "packages/kernel/src/wake-word.ts";

/** Found by two cores that ring each other's wake words. */
export const wakeWordChanges: readonly ChangedSource[] = [
  {
    name: "a wake word looks for waiters before it counts the ring",
    changes: [
      {
        file: WAKE_WORD,
        text: "    Atomics.add(this.#words, this.#count, 1);\n",
        replacement:
          "    const waiters = Atomics.load(this.#words, this.#waiters);\n    Atomics.add(this.#words, this.#count, 1);\n",
      },
      {
        file: WAKE_WORD,
        text: "if (Atomics.load(this.#words, this.#waiters) !== 0) Atomics.notify",
        replacement: "if (waiters !== 0) Atomics.notify",
      },
    ],
  },
  {
    name: "a wake word's waiter does not announce itself",
    changes: [
      {
        file: WAKE_WORD,
        text: "    Atomics.add(this.#words, this.#waiters, 1);\n    try {",
        replacement: "    try {",
      },
      {
        file: WAKE_WORD,
        text: "    } finally {\n      Atomics.sub(this.#words, this.#waiters, 1);\n    }",
        replacement: "    } finally {\n    }",
      },
    ],
  },
  {
    name: "a wake word waits from the count that it reads itself",
    changes: [
      {
        file: WAKE_WORD,
        text: "Atomics.wait(this.#words, this.#count, count, timeoutMs)",
        replacement: "Atomics.wait(this.#words, this.#count, this.read(), timeoutMs)",
      },
    ],
  },
  {
    name: "a core reads its bell's count after it has polled",
    changes: [
      { file: "packages/kernel/src/core.ts", text: "    this.#seen = this.bell.read();\n", replacement: "" },
      {
        file: "packages/kernel/src/core.ts",
        text: "    const found = this.#devices.arm();\n",
        replacement: "    const found = this.#devices.arm();\n    this.#seen = this.bell.read();\n",
      },
    ],
  },
];

const DRIVER = "packages/virtqueue/src/driver-queue.ts";
const DEVICE = "packages/virtqueue/src/device-queue.ts";

/** A side that reads what its peer asks for before it publishes. */
function earlyLook(file: string, own: string, peer: string, index: string): readonly SourceChange[] {
  const publish = `    this.#${own}.storeIndex(now);\n    this.#${index} = now;\n`;
  return [
    {
      file,
      text: publish,
      replacement: `    const event = this.#${peer}.loadEvent();\n    const asked = this.#${peer}.loadFlags();\n${publish}`,
    },
    {
      file,
      text: `passesEvent(this.#${peer}.loadEvent(), now, before)`,
      replacement: "passesEvent(event, now, before)",
    },
    { file, text: `(this.#${peer}.loadFlags() & DO_NOT_NOTIFY)`, replacement: "(asked & DO_NOT_NOTIFY)" },
  ];
}

/** A side that looks for work first, and then asks to be notified. */
function looksThenArms(file: string, peer: string, index: string): readonly SourceChange[] {
  const arm = `    this.#notifications.arm(this.#${index});\n`;
  const look = `this.#${peer}.loadIndex() !== this.#${index}`;
  return [
    {
      file,
      text: `${arm}    return ${look};\n`,
      replacement: `    const found = ${look};\n${arm}    return found;\n`,
    },
  ];
}

export const ringChanges: readonly ChangedRing[] = [
  ...(["EVENT_IDX", "flags"] as const).flatMap((on) => [
    {
      on,
      name: `the driver looks whether to notify before it publishes, ${on}`,
      changes: earlyLook(DRIVER, "available", "used", "publishedAvailable"),
    },
    {
      on,
      name: `the device looks whether to interrupt before it publishes, ${on}`,
      changes: earlyLook(DEVICE, "used", "available", "publishedUsed"),
    },
    {
      on,
      name: `the driver looks for used chains before it asks to be notified, ${on}`,
      changes: looksThenArms(DRIVER, "used", "nextUsed"),
    },
    {
      on,
      name: `the device looks for available chains before it asks to be notified, ${on}`,
      changes: looksThenArms(DEVICE, "available", "nextAvailable"),
    },
  ]),
  {
    on: "EVENT_IDX",
    name: "the driver shows the index before the entry is written",
    changes: [
      {
        file: DRIVER,
        text: "    this.#availableEntries[index & this.#slotMask] = head;\n",
        replacement:
          "    this.#available.storeIndex((index + 1) & 0xffff);\n    this.#availableEntries[index & this.#slotMask] = head;\n",
      },
    ],
  },
  {
    on: "EVENT_IDX",
    name: "the device shows the index before the element is written",
    changes: [
      {
        file: DEVICE,
        text: "    this.#usedElements[at] = head;\n",
        replacement: "    this.#used.storeIndex((index + 1) & 0xffff);\n    this.#usedElements[at] = head;\n",
      },
    ],
  },
  {
    on: "EVENT_IDX",
    name: "events are compared without regard to the wrap",
    changes: [
      {
        file: "packages/virtqueue/src/event-idx.ts",
        text: "indexDistance(event + 1, now) < indexDistance(before, now)",
        replacement: "before <= event && event < now",
      },
    ],
  },
  {
    on: "EVENT_IDX",
    name: "the device loads avail.idx like any other field: right on x86, and nowhere promised",
    foundBy: ["race-free"],
    changes: [
      {
        file: "packages/virtqueue/src/available-ring.ts",
        text: "    return Atomics.load(this.#halves, INDEX);\n",
        replacement: "    return this.#halves[INDEX] ?? 0;\n",
      },
    ],
  },
];

/** Found by the dedicated machine's register page and wake words. */
export const dedicatedChanges: readonly ChangedSource[] = [
  {
    name: "the driver's transport sets the notification's bit and rings nobody",
    changes: [
      {
        file: "packages/machine/src/dedicated/register-transport.ts",
        text: "Register.NOTIFICATIONS, 1 << queueIndex);\n    this.#bell.ring();\n",
        replacement: "Register.NOTIFICATIONS, 1 << queueIndex);\n",
      },
    ],
  },
  {
    name: "the device's server sets the interrupt's bit and rings nobody",
    changes: [
      {
        file: "packages/machine/src/dedicated/register-server.ts",
        text: "      driverBell.ring();\n",
        replacement: "",
      },
    ],
  },
];

/** Found by a heap whose blocks two other cores give back. */
export const remoteFreeChanges: readonly ChangedSource[] = [
  {
    name: "a remote free stores the head of the list instead of exchanging it",
    changes: [
      {
        file: "packages/memory/src/allocator/remote-heap.ts",
        text: "      const seen = Atomics.compareExchange(u32, this.#head, head, link);\n",
        replacement: "      const seen = head;\n      Atomics.store(u32, this.#head, link);\n",
      },
    ],
  },
  {
    name: "the owner takes the list of remote frees by a load and a store",
    changes: [
      {
        file: "packages/memory/src/allocator/incoming-frees.ts",
        text: "    let link = Atomics.exchange(u32, this.#head, END_OF_LIST);\n",
        replacement:
          "    let link = Atomics.load(u32, this.#head);\n    Atomics.store(u32, this.#head, END_OF_LIST);\n",
      },
    ],
  },
  {
    name: "a block that another core frees is linked after it is in the list",
    changes: [
      {
        file: "packages/memory/src/allocator/remote-heap.ts",
        text: "      Atomics.store(u32, block, head);\n      const seen = Atomics.compareExchange(u32, this.#head, head, link);\n",
        replacement:
          "      const seen = Atomics.compareExchange(u32, this.#head, head, link);\n      if (seen === head) Atomics.store(u32, block, head);\n",
      },
    ],
  },
];
