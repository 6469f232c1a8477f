import { describe, expect, it } from "vitest";
import { IdlePolicy, NO_SPIN } from "./idle-policy.ts";

const limits = { start: 4, cap: 16, shortWaitMs: 1 };
const spinOut = (policy: IdlePolicy): number => {
  let turns = 0;
  while (policy.spin()) turns++;
  return turns;
};

describe("IdlePolicy", () => {
  it("doubles its budget while waits are short, up to the cap", () => {
    const policy = new IdlePolicy(limits);
    const budgets = [1, 2, 3, 4].map(() => {
      const turns = spinOut(policy);
      policy.waited(0.5, "rung");
      return turns;
    });
    expect(budgets).toEqual([4, 8, 16, 16]);
  });

  it("drops to nothing after a long wait, and starts again after a short one", () => {
    const policy = new IdlePolicy(limits);
    policy.waited(0.5, "rung");
    policy.waited(50, "rung");
    expect(spinOut(policy)).toBe(0);
    policy.waited(0.5, "rung");
    expect(spinOut(policy)).toBe(4);
  });

  it("learns nothing from a wait that a timer ended", () => {
    const policy = new IdlePolicy(limits);
    policy.waited(500, "timer");
    expect(policy.budget).toBe(4);
  });

  it("counts spins that found work; work renews the budget", () => {
    const policy = new IdlePolicy(limits);
    policy.spin();
    policy.worked();
    policy.worked();
    expect(spinOut(policy)).toBe(4);
    expect([policy.spinHits, policy.spins, policy.waits]).toEqual([1, 5, 0]);
  });

  it("never spins with NO_SPIN", () => {
    const policy = new IdlePolicy(NO_SPIN);
    policy.waited(0, "rung");
    expect(policy.spin()).toBe(false);
  });
});
