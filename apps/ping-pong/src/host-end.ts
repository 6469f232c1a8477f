/** The host's end on machines whose vsock device is ours: a handler on the device's thread, no socket in between. */
import type { HostCalls } from "@toril/machine";
import type { Job, PingReport } from "./job.ts";
import { PingEnd } from "./ping-end.ts";

export interface HostJob {
  readonly job: Job;
  readonly port: number;
}

/** Run by `machine.runHost`. */
export async function measure(host: HostCalls, args: unknown): Promise<PingReport> {
  const { job, port } = args as HostJob;
  let end: PingEnd | undefined;
  host.connect(port, (stream) => {
    const made = new PingEnd({
      job,
      link: { write: (bytes) => stream.write(bytes), close: () => stream.end() },
      now: () => host.clock.now(),
      counters: () => host.stats(),
    });
    end = made;
    return {
      opened: () => made.start(),
      data: (chunk) => {
        made.feed(chunk.bytes);
        chunk.release();
      },
      drain: () => made.drain(),
      end: () => made.fail(new Error("the guest's program ended its side in the middle of a run")),
      closed: (errno) => made.fail(new Error(`the connection to the guest's program was lost (errno ${errno})`)),
    };
  });
  if (end === undefined) throw new Error("the device took no connection");
  return end.report;
}
