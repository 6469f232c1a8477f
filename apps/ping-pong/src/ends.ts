/** What threads of a machine load by name: the guest's program, the host's end beside the vsock device, and who they are. */
import type { Sys } from "@toril/machine";
import { servePages } from "./experiment/page-server.ts";
import { answerJobs } from "./guest.ts";
import { threadId } from "./thread-id.ts";

export { type HostJob, measure } from "./host-end.ts";

/** The guest's program. It tells its thread's number among the machine's counters: by that it can be pinned. */
export function main(sys: Sys): Promise<void> {
  tellThread(sys);
  return answerJobs(sys);
}

function tellThread(sys: Sys): void {
  const id = threadId();
  if (id !== undefined) sys.report("thread", () => ({ id }));
}

/** The guest's program of the experiment: answers, and serves pages. */
export function experiment(sys: Sys): Promise<void> {
  tellThread(sys);
  sys.threads.spawn(servePages, { name: "pages" });
  return answerJobs(sys);
}

/** Of the vsock device. */
export function deviceThread(): number | undefined {
  return threadId();
}
