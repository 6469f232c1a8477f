/** What one run says: figures of the ping end, and what the counters of both sides counted meanwhile. */
import type { Counters, PingReport } from "./job.ts";
import { type Latencies, latencies } from "./statistics.ts";

/** Bytes copied, by stage. The first four are the guest's way out, the next two its way in, the rest is the device's. */
export interface Copies {
  readonly userToPacket: number;
  readonly packetToRing: number;
  readonly header: number;
  readonly headerToRing: number;
  readonly toUser: number;
  readonly toPrivate: number;
  readonly deviceToGuest: number;
  readonly deviceQueue: number;
  readonly deviceFromGuest: number;
}

/** How a loop idled. */
interface Idle {
  readonly wakeUps: number;
  readonly asleepUs: number;
  readonly spinHits: number;
  readonly spinMisses: number;
}

/** Sums over the counted messages. */
export interface Counted {
  readonly copies: Copies;
  readonly packets: { readonly tx: number; readonly rx: number };
  readonly notifications: number;
  readonly notificationsSuppressed: number;
  readonly interrupts: number;
  readonly interruptsSuppressed: number;
  readonly creditWaitUs: number;
  readonly ringWaitUs: number;
  readonly allocatorWaitUs: number;
  /** The device had bytes, and the guest no credit, or no buffer for them. */
  readonly deviceCreditWaitUs: number;
  readonly deviceBufferWaitUs: number;
  readonly guest: Idle;
  /** Of the device's loop; on a machine of one loop there is only the guest's. */
  readonly device: Idle;
}

export interface RunFigures extends Latencies {
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Payload bytes that arrived at either end, in millions per second. */
  readonly mbPerS: number;
  readonly messages: number;
}

const US = 1_000;

/** @param size bytes of a message; @param ways 2: there and back */
export function runFigures(
  report: Pick<PingReport, "samples" | "elapsedMs" | "messages">,
  size: number,
  ways: 1 | 2,
): RunFigures {
  const { p50, p99, p999 } = latencies(report.samples);
  const mbPerS = (size * ways * report.messages) / report.elapsedMs / US;
  return { p50: p50 * US, p99: p99 * US, p999: p999 * US, mbPerS, messages: report.messages };
}

/** @param threads whether guest and device have loops of their own */
export function counted(report: PingReport, threads: "one" | "two"): Counted {
  const guest = new Difference(report.pong.before, report.pong.after);
  const host = new Difference(report.before, report.after);
  const driver = "vsock driver";
  const device = "vsock device";
  const loop = guest.has("loop of core 0") ? "loop of core 0" : "loop";
  return {
    copies: {
      userToPacket: guest.of(driver, "txCopied", "userToPacket"),
      packetToRing: guest.of(driver, "txCopied", "packetToRing"),
      header: guest.of(driver, "txCopied", "header"),
      headerToRing: guest.of(driver, "txCopied", "headerToRing"),
      toUser: guest.of(driver, "rxCopied", "toUser"),
      toPrivate: guest.of(driver, "rxCopied", "toPrivate"),
      deviceToGuest: host.of(device, "bytesCopiedToGuest") + host.of(device, "headerBytesToGuest"),
      deviceQueue: host.of(device, "bytesQueuedToGuest"),
      deviceFromGuest: host.of(device, "bytesCopiedToHost"),
    },
    packets: { tx: guest.of(driver, "txPackets"), rx: guest.of(driver, "rxPackets") },
    notifications: guest.of(driver, "notificationsSent"),
    notificationsSuppressed: guest.of(driver, "notificationsSuppressed"),
    interrupts: host.of(device, "interruptsSent"),
    interruptsSuppressed: host.of(device, "interruptsSuppressed"),
    creditWaitUs: guest.of(driver, "waits", "credit", "ms") * US,
    ringWaitUs: guest.of(driver, "waits", "ring", "ms") * US,
    allocatorWaitUs: guest.of(driver, "waits", "memory", "ms") * US,
    deviceCreditWaitUs: host.of(device, "waits", "credit", "ms") * US,
    deviceBufferWaitUs: host.of(device, "waits", "buffers", "ms") * US,
    guest: idle(guest, loop),
    device: threads === "one" ? { wakeUps: 0, asleepUs: 0, spinHits: 0, spinMisses: 0 } : idle(host, "loop"),
  };
}

function idle(side: Difference, loop: string): Idle {
  return {
    wakeUps: side.of(loop, "waits"),
    asleepUs: side.of(loop, "sleptMs") * US,
    spinHits: side.of(loop, "spinHits"),
    spinMisses: side.of(loop, "spinMisses"),
  };
}

/** What counters have counted between two readings. */
class Difference {
  readonly #before: Counters;
  readonly #after: Counters;

  constructor(before: Counters, after: Counters) {
    this.#before = before;
    this.#after = after;
  }

  has(part: string): boolean {
    return this.#after[part] !== undefined;
  }

  /** 0 for what is not counted there: the device of another process tells us nothing. */
  of(...path: readonly string[]): number {
    return valueAt(this.#after, path) - valueAt(this.#before, path);
  }
}

function valueAt(counters: Counters, path: readonly string[]): number {
  let found: Counters | number | string | undefined = counters;
  for (const name of path) found = typeof found === "object" ? found[name] : undefined;
  return typeof found === "number" ? found : 0;
}

/** Adds up counts of the same shape. */
export function add<T extends object>(a: T, b: T): T {
  const sum: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(a)) {
    const other: unknown = Reflect.get(b, name);
    if (typeof value === "number" && typeof other === "number") sum[name] = value + other;
    else if (typeof value === "object" && value !== null) sum[name] = add(value as object, other as object);
  }
  return sum as T;
}
