/** System calls of a device that a core does not have: each of them says so. */
import { Errno, SystemError } from "@toril/virtio/platform";

/** @param remedy what is missing, and how to have it */
export function absentCalls<Calls extends object>(remedy: string): Calls {
  return new Proxy({} as Calls, {
    get: (_, name) => () => {
      throw new SystemError(Errno.ENODEV, String(name), remedy);
    },
  });
}
