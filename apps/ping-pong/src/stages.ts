/** Where the time of a round trip goes, from traced runs: times that both ends took by one clock. */
import type { PingReport } from "./job.ts";
import { median } from "./statistics.ts";

/** Microseconds; medians over the traced messages. Asleep: the mean, as the loops counted it. */
export interface Stages {
  /** The device's side hands the message over: the bytes go into the guest's buffers. */
  readonly hostSends: number;
  /** Until the guest's program has received all of it; without the time that the guest's loop slept. */
  readonly toGuest: number;
  readonly guestAsleep: number;
  /** The guest's program hands its answer over: copies, by path, and the ring. */
  readonly guestSends: number;
  /** Until the host's handler has been given all of it; without the time that the device's loop slept. */
  readonly toHost: number;
  readonly hostAsleep: number;
  readonly total: number;
}

/** @param loops on a machine of one loop nobody can say which side slept: it is told as the guest's */
export function stagesOf(report: PingReport, loops: "one" | "two"): Stages | undefined {
  const { begun, sent, ended, pong } = report;
  const messages = Math.min(begun.length, sent.length, ended.length, pong.received.length, pong.answered.length);
  if (messages < 2) return undefined;
  const parts = { hostSends: [], toGuest: [], guestSends: [], toHost: [], total: [] } as Record<string, number[]>;
  const put = (name: string, from: number, to: number): void => void parts[name]?.push(Math.max(0, to - from) * 1_000);
  // The first one finds the other end at its counters.
  for (let i = 1; i < messages; i++) {
    const begin = begun[i] ?? 0;
    const received = pong.received[i] ?? 0;
    const end = ended[i] ?? 0;
    // The guest may have it all before the device's call returns, and the host the answer before the guest's does.
    const handedOver = Math.min(sent[i] ?? 0, received);
    const answered = Math.min(pong.answered[i] ?? 0, end);
    put("hostSends", begin, handedOver);
    put("toGuest", handedOver, received);
    put("guestSends", received, answered);
    put("toHost", answered, end);
    put("total", begin, end);
  }
  const of = (name: string): number => median(parts[name] ?? []);
  const [guestSlept, hostSlept] = asleep(report, loops, messages);
  const toGuest = of("toGuest");
  const toHost = of("toHost");
  const guestAsleep = Math.min(guestSlept, toGuest + (loops === "one" ? toHost : 0));
  const hostAsleep = Math.min(hostSlept, toHost);
  return {
    hostSends: of("hostSends"),
    toGuest: Math.max(0, toGuest - guestAsleep),
    guestAsleep,
    guestSends: of("guestSends"),
    toHost: Math.max(0, toHost - hostAsleep),
    hostAsleep,
    total: of("total"),
  };
}

/** Microseconds per message that the loops slept while the other side worked, by their own count. */
function asleep({ pong, before, after }: PingReport, loops: "one" | "two", messages: number): [number, number] {
  const slept = (side: { readonly before: object; readonly after: object }, part: string): number => {
    const value = (counters: object): number => {
      const group: unknown = Reflect.get(counters, part);
      const ms: unknown = typeof group === "object" && group !== null ? Reflect.get(group, "sleptMs") : 0;
      return typeof ms === "number" ? ms : 0;
    };
    return ((value(side.after) - value(side.before)) * 1_000) / messages;
  };
  const guest = slept(pong, loops === "two" ? "loop of core 0" : "loop");
  return [guest, loops === "two" ? slept({ before, after }, "loop") : 0];
}
