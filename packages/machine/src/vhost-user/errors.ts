/** Why a vhost-user machine cannot be: one line that says what to do, with a code. */
import { DaemonError, FfiUnavailable } from "@toril/vhost-user";
import { VirtioError } from "@toril/virtio";

/**
 * `code`: ENOSYS where there is no vhost-user at all (no koffi, no Linux), ENOENT for a daemon that is not installed,
 * ECHILD for one that does not come up, ECONNREFUSED for a back-end that does not answer as it should.
 */
export class VhostUserMachineError extends Error {
  override readonly name = "VhostUserMachineError";
  readonly code: "ENOSYS" | "ENOENT" | "ECHILD" | "ECONNREFUSED";

  constructor(code: VhostUserMachineError["code"], message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\s*\n\s*/g, " | "), options);
    this.code = code;
  }
}

/** The same failure as one line with a code, where it is one of the surroundings'; anything else as it is. */
export function explained(error: unknown): unknown {
  if (error instanceof FfiUnavailable) {
    return new VhostUserMachineError("ENOSYS", `the vhost-user machine cannot run here: ${error.message}`, {
      cause: error,
    });
  }
  if (error instanceof DaemonError) return new VhostUserMachineError("ECHILD", error.message, { cause: error });
  if (error instanceof VirtioError && error.code === "ERR_TRANSPORT") {
    return new VhostUserMachineError("ECONNREFUSED", error.message, { cause: error });
  }
  return error;
}
