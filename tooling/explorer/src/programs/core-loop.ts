/**
 * The loop of an exclusive core (exclusive-loop.ts) without its promises, which cannot be run again from the start: turn;
 * when nothing was done, arm; when arming finds nothing, wait from the count that was read before the turn.
 */
import type { WakeWord } from "@toril/kernel";
import type { Pollable } from "@toril/virtio/platform";
import type { World } from "../program.ts";

/** What the loop may do wrong on purpose. */
export type LoopFault = "reads the count late" | "forgets to arm" | "none";

/** @param finished asked after every turn; throws what it finds wrong. */
export function runCore(
  { code }: World,
  bell: WakeWord,
  pollable: Pollable,
  finished: () => boolean,
  fault: LoopFault = "none",
): () => void {
  const core = new code.Core<undefined>({ id: 0, now: () => 0, bell, system: () => undefined });
  return () => {
    core.dedicate(pollable, "the device");
    for (;;) {
      const worked = core.turn();
      if (finished()) return;
      if (worked) continue;
      if (fault !== "forgets to arm" && core.arm()) continue;
      bell.wait(fault === "reads the count late" ? bell.read() : core.seen);
    }
  };
}
