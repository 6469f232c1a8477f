// What exclusive-loop.test.ts spawns on other cores.
import type { PlainSystem } from "../src/index.ts";

export async function main(
  { threads }: PlainSystem,
  args: { sleepMs: number },
): Promise<{ core: number; slept: boolean }> {
  const before = threads.now();
  await threads.sleep(args.sleepMs);
  return { core: threads.core, slept: threads.now() - before >= args.sleepMs };
}

export const sleepsForEver = ({ threads }: PlainSystem): Promise<void> => threads.sleep(1e12);
