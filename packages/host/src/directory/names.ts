/** What a name is: the FUSE server has checked, but nothing here may rest on that. */
import { Errno, SystemError } from "@toril/virtio/platform";

/** Linux' NAME_MAX, in bytes. */
export const NAME_LENGTH = 255;

const SLASH = 0x2f;
const DOT = 0x2e;

/** @throws SystemError EINVAL for bytes that are no name, or more than one; ENAMETOOLONG */
export function requireName(name: Uint8Array, call: string): void {
  if (name.length === 0 || name.includes(SLASH) || name.includes(0) || isDots(name)) {
    throw new SystemError(Errno.EINVAL, call, "not a name");
  }
  if (name.length > NAME_LENGTH) throw new SystemError(Errno.ENAMETOOLONG, call);
}

function isDots(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
}
