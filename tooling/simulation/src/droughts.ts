/** An allocator that has nothing to give for a while, now and then. */
import type { Simulation } from "@toril/machine/testing";
import type { DmaAllocator } from "@toril/memory";
import type { FaultPlan } from "./faults.ts";
import { between, once } from "./world.ts";

interface Droughts {
  over(heap: DmaAllocator): DmaAllocator;
  /** @param memoryIsBack somebody has freed memory: on a real core that happens in a turn. */
  begin(memoryIsBack: () => void): void;
  end(): void;
}

export function allocatorWithDroughts(simulation: Simulation, faults: FaultPlan): Droughts {
  const random = simulation.random("memory");
  let dry: "no" | "some" | "all" = "no";
  let over = !faults.has("no-memory");
  return {
    over: (heap) => ({
      memory: heap.memory,
      allocateDma: (length, alignment) => {
        const refused = dry === "all" || (dry === "some" && once(random, 2));
        return refused ? undefined : heap.allocateDma(length, alignment);
      },
    }),
    begin: (memoryIsBack) => {
      if (over) return;
      const rain = (): void => {
        dry = "no";
        memoryIsBack();
      };
      for (let i = between(random, 1, 6); i > 0; i--) {
        const kind = once(random, 2) ? "some" : "all";
        const start = random.next(100);
        simulation.after(start, `the allocator refuses ${kind}`, () => {
          if (!over) dry = kind;
        });
        simulation.after(start + between(random, 1, 60), "the allocator gives again", rain);
      }
    },
    end: () => {
      over = true;
      dry = "no";
    },
  };
}
