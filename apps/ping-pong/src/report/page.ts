import type { Outcome } from "../runner.ts";

export function reportPage(outcome: Outcome): string {
  return outcome.machine;
}
