/** The jobs of `bench:vhost-user` as both front-ends take them, and what they answer. */

export interface Job {
  readonly kind: "getattr" | "read";
  readonly count: number;
  readonly depth: number;
  /** Bytes of each READ; 0 of GETATTR. */
  readonly bytes: number;
}

export interface Answer {
  /** Of one round trip, in µs. */
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

/** `getattr COUNT DEPTH …` or `read COUNT BYTES DEPTH …`. @throws Error for any other */
export function parseJob(line: string): Job {
  const [kind = "", ...words] = line.split(" ");
  const [first = 0, second = 0, third = 0] = words.map(Number);
  if (kind === "getattr") return { kind, count: first, depth: second, bytes: 0 };
  if (kind === "read") return { kind, count: first, bytes: second, depth: third };
  throw new Error(`no such job: ${line}`);
}

/** Does `once` as often as the job says, as many at a time as it says. */
export async function measure({ count, depth }: Job, once: () => Promise<void>): Promise<Answer> {
  const times = new Float64Array(count);
  let started = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (started < count) {
      started++;
      const began = performance.now();
      await once();
      times[done++] = performance.now() - began;
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: depth }, lane));
  const took = performance.now() - began;
  times.sort();
  const microseconds = (quantile: number): number => (times[Math.floor(count * quantile)] ?? 0) * 1000;
  return { p50: microseconds(0.5), p99: microseconds(0.99), perSecond: (count / took) * 1000 };
}
