/** Where the daemons are: named by the environment, on the PATH, where Debian puts them, or built by tooling/peers. */
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

export type DaemonName = "virtiofsd" | "vhost-device-vsock";

const VARIABLES = { virtiofsd: "TORIL_VIRTIOFSD", "vhost-device-vsock": "TORIL_VHOST_DEVICE_VSOCK" } as const;
/** Debian's packages: qemu-system-common's in bookworm, virtiofsd's from trixie on. */
const PLACES = { virtiofsd: ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"], "vhost-device-vsock": [] } as const;

/** All that are installed, the one to prefer first. */
export function findDaemons(name: DaemonName): string[] {
  const named = process.env[VARIABLES[name]];
  if (named !== undefined) return isExecutable(named) ? [named] : [];
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name));
  return [...new Set([...onPath, ...built(name), ...PLACES[name]])].filter(isExecutable);
}

/** What tooling/peers/install has built: folders named after version, newest first. */
function built(name: DaemonName): string[] {
  const peers =
    process.env["TORIL_PEERS"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "toril/peers");
  try {
    const versions = readdirSync(peers).filter((folder) => folder.startsWith(`${name}-`));
    return versions
      .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
      .map((one) => join(peers, one, "bin", name));
  } catch {
    return []; // nothing was built
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
