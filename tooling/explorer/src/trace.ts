/** A schedule as a person reads it: one line per step, one column per thread. */
import type { Access, NameOf } from "./access.ts";
import type { Failure } from "./explore.ts";
import type { Step } from "./machine.ts";

const COLUMN = 58;

export function formatTrace({ steps, reason }: Failure, threads: readonly string[], nameOf: NameOf): string {
  const width = String(steps.length).length;
  const lines = steps.map((step, i) => {
    const column = " ".repeat(COLUMN * step.thread);
    return `${String(i + 1).padStart(width)}  ${column}${describeStep(step, nameOf)}`;
  });
  const heads = threads.map((name, thread) => (thread < threads.length - 1 ? name.padEnd(COLUMN) : name)).join("");
  return [`${" ".repeat(width)}  ${heads}`, ...lines, `${" ".repeat(width)}  => ${reason}`].join("\n");
}

function describeStep({ access, phase, result, note }: Step, nameOf: NameOf): string {
  const name = nameOf(access.at);
  const remark = note === undefined ? "" : ` (${note})`;
  if (phase === "drains") return `  ${name} = ${showValue(access)} reaches memory`;
  if (phase === "sleeps") return `waits while ${name} is ${showValue(access)}: sleeps`;
  return `${describeAccess(access, name, phase === "buffers", result)}${remark}`;
}

function describeAccess(access: Access, name: string, buffered: boolean, result: number | undefined): string {
  switch (access.kind) {
    case "load":
      return `${access.atomic ? "atomic " : ""}load ${name} -> ${result ?? ""}`;
    case "store":
      if (access.atomic) return `atomic store ${name} = ${access.value}`;
      return `store ${name} = ${access.value}${buffered ? " (into its buffer)" : ""}`;
    case "modify":
      return `atomic ${access.operation} ${name}, ${access.value} -> was ${result ?? ""}`;
    case "wait":
      return result === undefined ? `wait ${name}` : `wait while ${name} is ${access.value}: it is ${result}`;
    case "notify":
      return `notify ${name} -> ${result ?? 0} woken`;
    case "ring":
      return `rings ${name}`;
    case "sleep":
      return `sleeps on ${name}`;
  }
}

function showValue(access: Access): number | string {
  return access.kind === "store" || access.kind === "wait" ? access.value : "";
}
