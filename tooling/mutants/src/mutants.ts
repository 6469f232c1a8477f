import { allocatorMutants } from "./allocator-mutants.ts";
import { creditMutants } from "./credit-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { ringMutants } from "./ring-mutants.ts";

/** All mutants, by what they break. */
export const areas: readonly { readonly name: string; readonly mutants: readonly Mutant[] }[] = [
  { name: "ring", mutants: ringMutants },
  { name: "credit and connection", mutants: creditMutants },
  { name: "allocator", mutants: allocatorMutants },
];

export const mutants: readonly Mutant[] = areas.flatMap((area) => area.mutants);
