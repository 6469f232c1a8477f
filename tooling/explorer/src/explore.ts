/** Goes through all states that a machine can reach, nearest first, so that a failing schedule is a short one. */
import type { Machine, State, Step } from "./machine.ts";

export interface Failure {
  readonly reason: string;
  /** All steps from the start. */
  readonly steps: readonly Step[];
}

export interface Exploration {
  readonly failure: Failure | undefined;
  readonly states: number;
  readonly transitions: number;
  /** Ways to end: states in which all threads had ended. */
  readonly ends: number;
  /** `false`: the limit of states was reached first. */
  readonly complete: boolean;
}

export function explore(machine: Machine, maxStates = 20_000_000): Exploration {
  const seen = new Set<string>();
  const states: State[] = [];
  const parents: number[] = [];
  const add = (state: State, parent: number): void => {
    const key = state.join();
    if (seen.has(key)) return;
    seen.add(key);
    states.push(state);
    parents.push(parent);
  };
  add(machine.initial, -1);
  let transitions = 0;
  let ends = 0;
  const result = (reason: string | undefined, steps: readonly Step[], complete = true): Exploration => {
    const failure = reason === undefined ? undefined : { reason, steps };
    return { failure, states: states.length, transitions, ends, complete };
  };
  for (let at = 0; at < states.length; at++) {
    if (states.length > maxStates) return result(undefined, [], false);
    const state = states[at] as State;
    const wrong = failedThread(machine, state);
    if (wrong !== undefined) return result(wrong, pathTo(machine, states, parents, at));
    const next = machine.transitions(state);
    transitions += next.length;
    for (const transition of next) {
      if (transition.failure !== undefined) {
        return result(transition.failure, [...pathTo(machine, states, parents, at), ...transition.steps]);
      }
      add(transition.next, at);
    }
    if (next.length > 0) continue;
    const stuck = stuckThreads(machine, state);
    if (stuck.length > 0) return result(`${stuck.join(" and ")} for ever`, pathTo(machine, states, parents, at));
    ends++;
  }
  return result(undefined, []);
}

function failedThread(machine: Machine, state: State): string | undefined {
  for (const [thread, tree] of machine.threads.entries()) {
    const { step } = tree.node(machine.nodeId(state, thread));
    if (step.kind === "failed") return `${tree.name}: ${step.reason}`;
  }
  return undefined;
}

function stuckThreads(machine: Machine, state: State): string[] {
  return machine.threads.flatMap((tree, thread) =>
    tree.node(machine.nodeId(state, thread)).step.kind === "ended" ? [] : [`${tree.name} sleeps`],
  );
}

/** The states remember only where they came from: their steps are found by taking them again. */
function pathTo(machine: Machine, states: readonly State[], parents: readonly number[], end: number): Step[] {
  const parts: (readonly Step[])[] = [];
  for (let at = end; ; ) {
    const parent = parents[at] ?? -1;
    const before = states[parent];
    if (before === undefined) return parts.reverse().flat();
    const key = states[at]?.join();
    const taken = machine.transitions(before).find(({ next }) => next.join() === key);
    if (taken === undefined) throw new Error("a machine does not take the same steps twice");
    parts.push(taken.steps);
    at = parent;
  }
}
