import { BootedMachine } from "./booted-machine.ts";
import { DedicatedHardware } from "./dedicated/hardware.ts";
import { InlineHardware } from "./inline.ts";
import type { Machine, MachineOptions } from "./machine.ts";
import { machineSettings } from "./settings.ts";

/**
 * Boots a machine; it then waits for a program (`start`).
 * @throws RangeError for options that no machine can have; Error with a code when the directory cannot be served
 */
export async function createMachine(options: MachineOptions): Promise<Machine> {
  const settings = machineSettings(options);
  switch (settings.kind) {
    case "inline":
      return new BootedMachine(await InlineHardware.boot(settings));
    case "dedicated":
      return new BootedMachine(await DedicatedHardware.boot(settings));
    default:
      return settings.kind satisfies never;
  }
}
