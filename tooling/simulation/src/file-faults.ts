/** How the host's disk behaves in a run. */
import type { FileBehaviour, FileFate, Simulation } from "@toril/machine/testing";
import { Errno } from "@toril/virtio/platform";
import type { FaultPlan } from "./faults.ts";
import { once } from "./world.ts";

const ERRORS = [Errno.EIO, Errno.EIO, Errno.EACCES, Errno.EMFILE, Errno.ENOMEM, Errno.ETIMEDOUT];
const WRITE_ERRORS = [Errno.ENOSPC, Errno.EIO, Errno.EDQUOT];
const WRITES: ReadonlySet<string> = new Set(["write", "create", "setattr", "mkdir", "rename", "fsync", "fallocate"]);
/** One call in so many fails; in so many waits. */
const ERROR_RATE = 12;

export function fileBehaviour(simulation: Simulation, faults: FaultPlan): FileBehaviour {
  const random = simulation.random("disk");
  const slow = faults.has("slow-files");
  const failing = faults.has("file-errors");
  return {
    fate(call): FileFate {
      const ms = slow ? random.next(once(random, 40) ? 2_000 : 12) : 0;
      if (failing && once(random, ERROR_RATE)) {
        const errors = WRITES.has(call) ? WRITE_ERRORS : ERRORS;
        return { kind: "fails", ms, errno: errors[random.next(errors.length)] ?? Errno.EIO };
      }
      // Node's file calls are never done at once; a memory file system's are.
      if (!slow && once(random, 2)) return { kind: "now" };
      return { kind: once(random, 2) ? "later" : "answered later", ms };
    },
  };
}
