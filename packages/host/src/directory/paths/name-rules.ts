/**
 * Which names this system has. A name that it cannot have is not there (ENOENT), and cannot be made (EINVAL): it must
 * not reach a system call that would read something else into it, as Windows does with `file:stream` and `CON`.
 */
import { isUtf8 } from "node:buffer";

export interface NameRules {
  /** Between the names of a path, as a byte. */
  readonly separator: number;
  /** Whether what is one name for Linux is one name here too. */
  allows(name: Uint8Array): boolean;
}

/** @param platform as process.platform has it */
export function nameRules(platform: NodeJS.Platform): NameRules {
  if (platform === "win32") return WINDOWS;
  return platform === "darwin" ? MACOS : BYTES;
}

const BYTES: NameRules = { separator: 0x2f, allows: () => true };

/** APFS takes nothing but UTF-8. */
const MACOS: NameRules = { separator: 0x2f, allows: isUtf8 };

/**
 * "Naming Files, Paths, and Namespaces" in Microsoft's documentation. The `\\?\` before our paths switches most of it
 * off, but not what the file system itself does with `:`, and other programs could not use such files.
 */
const WINDOWS: NameRules = { separator: 0x5c, allows: isWindowsName };

const NOT_IN_WINDOWS: ReadonlySet<number> = new Set(Buffer.from('<>:"/\\|?*', "latin1"));
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])[ ]*(?:[.:]|$)/i;
const SPACE = 0x20;
const DOT = 0x2e;

function isWindowsName(name: Uint8Array): boolean {
  if (!isUtf8(name) || name.some((byte) => byte < SPACE || NOT_IN_WINDOWS.has(byte))) return false;
  const last = name.at(-1);
  return last !== SPACE && last !== DOT && !DEVICE.test(Buffer.from(name).toString("utf8"));
}
