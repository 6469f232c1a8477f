/** Keeping threads and processes on one processor each, with taskset (util-linux). */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether there is a taskset, and the processor can be had. @returns the reason why not */
export async function whyNotPinned(cpu: number): Promise<string | undefined> {
  try {
    await run("taskset", ["-c", String(cpu), "true"]);
    return undefined;
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? "there is no taskset" : `taskset cannot use processor ${cpu}`;
  }
}

/** A thread by its number, or a whole process. @throws Error of taskset's */
export async function pin(what: "thread" | "process", id: number, cpu: number): Promise<void> {
  const all = what === "process" ? ["--all-tasks"] : [];
  await run("taskset", [...all, "--cpu-list", "--pid", String(cpu), String(id)]);
}
