import { describe, expect, it } from "vitest";
import { IdlePolicy, NO_SPIN } from "./idle-policy.ts";

const limits = { startMs: 0.01, capMs: 0.1 };

/** A policy whose turns cost what a test says. */
function create(turnMs = 0.001) {
  let time = 0;
  let reads = 0;
  const policy = new IdlePolicy(limits, () => {
    reads++;
    return time;
  });
  /** Spins to the end; the time that took. */
  const spinOut = (): number => {
    const began = time;
    while (policy.spin()) time += turnMs;
    return time - began;
  };
  return { policy, spinOut, reads: () => reads };
}

describe("IdlePolicy", () => {
  it("doubles its budget while waits are short, up to the cap", () => {
    const { policy, spinOut } = create();
    const budgets = [1, 2, 3, 4, 5, 6].map(() => {
      spinOut();
      policy.waited(0.05, "rung");
      return policy.budgetMs;
    });
    expect(budgets).toEqual([0.02, 0.04, 0.08, 0.1, 0.1, 0.1]);
  });

  it.each([0.0001, 0.0004, 0.002])("learns what a turn costs, so that a spin takes its time: %d ms", (turnMs) => {
    const { policy, spinOut } = create(turnMs);
    for (let i = 0; i < 30; i++) {
      spinOut();
      policy.waited(0.05, "rung");
      policy.spin(); // a find now and then, or it would rest
      policy.worked();
    }
    expect(spinOut()).toBeGreaterThan(0.09);
    policy.waited(0.05, "rung");
    expect(spinOut()).toBeLessThan(0.11);
  });

  it("reads no clock while it spins", () => {
    const { spinOut, reads } = create(0.0001);
    spinOut();
    expect(reads()).toBe(2);
  });

  it("halves its budget with each long wait, down to nothing, and starts again after a short one", () => {
    const { policy, spinOut } = create();
    for (let i = 0; i < 4; i++) policy.waited(0.05, "rung");
    const budgets = [1, 2, 3, 4, 5].map(() => {
      policy.waited(50, "rung");
      return policy.budgetMs;
    });
    expect(budgets).toEqual([0.05, 0.025, 0.0125, 0, 0]);
    expect(spinOut()).toBe(0);
    policy.waited(0.05, "rung");
    expect(policy.budgetMs).toBe(limits.startMs);
    expect(spinOut()).toBeGreaterThan(0);
  });

  it("takes a wait for short that has two wake-ups in it: sides that sleep by turns wake each other up for good", () => {
    const { policy } = create();
    for (let i = 0; i < 4; i++) policy.waited(50, "rung");
    expect(policy.budgetMs).toBe(0);
    for (let i = 0; i < 4; i++) policy.waited(0.15, "rung");
    expect(policy.budgetMs).toBe(0.08);
    policy.waited(0.16, "rung");
    expect(policy.budgetMs).toBe(0.04);
  });

  it("is not misled by one spin during which the thread did not run", () => {
    let time = 0;
    const policy = new IdlePolicy(limits, () => time);
    const spinOut = (turnMs: number): number => {
      let turns = 0;
      for (; policy.spin(); turns++) time += turnMs;
      policy.waited(0.05, "rung");
      policy.spin(); // a find now and then, or it would rest
      policy.worked();
      return turns;
    };
    for (let i = 0; i < 10; i++) spinOut(0.0005);
    spinOut(0.05);
    spinOut(0.0005);
    expect(spinOut(0.0005)).toBe(limits.capMs / 0.0005);
  });

  it("rests when its longest spins find nothing, longer each time; a find makes it eager again", () => {
    const { policy, spinOut } = create();
    /** Waits until it spins again. */
    const rest = (): number => {
      let waits = 0;
      for (; policy.budgetMs === 0; waits++) policy.waited(0.12, "rung");
      return waits;
    };
    const spinInVain = (): void => {
      while (policy.budgetMs > 0) {
        spinOut();
        policy.waited(0.12, "rung");
      }
    };
    spinInVain();
    const first = rest();
    spinInVain();
    expect(rest()).toBeGreaterThan(first * 1.5);
    policy.spin();
    policy.worked();
    spinInVain();
    expect(rest()).toBe(first);
  });

  it("learns nothing from a wait that a timer ended", () => {
    const { policy } = create();
    policy.waited(500, "timer");
    expect(policy.budgetMs).toBe(limits.startMs);
  });

  it("counts spins that found work; work renews the budget", () => {
    const { policy } = create();
    policy.spin();
    policy.worked();
    policy.worked();
    expect(policy.spin()).toBe(true);
    expect([policy.spinHits, policy.spins, policy.waits]).toEqual([1, 2, 0]);
  });

  it("counts a spin that found nothing once, and time asleep by what ended it", () => {
    const { policy } = create();
    while (policy.spin()) {
      // nothing comes
    }
    expect(policy.spin()).toBe(false);
    policy.worked(); // what came after the budget is no hit
    policy.waited(2, "rung");
    policy.waited(3, "timer");
    expect(policy.stats).toMatchObject({
      spinHits: 0,
      spinMisses: 1,
      waits: 2,
      rungWakeUps: 1,
      timerWakeUps: 1,
      sleptMs: 5,
    });
  });

  it("never spins with NO_SPIN", () => {
    const policy = new IdlePolicy(NO_SPIN, () => 0);
    policy.waited(0, "rung");
    expect(policy.spin()).toBe(false);
  });
});
