import { BootedMachine } from "./booted-machine.ts";
import { DedicatedHardware } from "./dedicated/hardware.ts";
import { InlineHardware } from "./inline.ts";
import type { Machine, MachineOptions } from "./machine.ts";
import { checkRecording } from "./recording.ts";
import { machineSettings } from "./settings.ts";

/**
 * Boots a machine; it then waits for a program (`start`).
 * @throws RangeError for options that no machine can have; Error with a code when the directory cannot be served or a recording
 * cannot be written, or,
 * of the vhost-user machine, ENOSYS without koffi or Linux, ENOENT for a daemon that is not installed, ECHILD for one that
 * does not come up, ECONNREFUSED for a back-end that does not answer
 */
export async function createMachine(options: MachineOptions): Promise<Machine> {
  const settings = machineSettings(options);
  if (settings.record !== undefined) checkRecording(settings.record);
  switch (settings.kind) {
    case "inline":
      return new BootedMachine(await InlineHardware.boot(settings));
    case "dedicated":
      return new BootedMachine(await DedicatedHardware.boot(settings));
    case "vhost-user": {
      // Loaded when it is wanted: it reaches for libc, which is not to be had everywhere.
      const { VhostUserHardware } = await import("./vhost-user/machine.ts");
      return new BootedMachine(await VhostUserHardware.boot(settings));
    }
    default:
      return settings.kind satisfies never;
  }
}
