/** A machine's options with every default filled in, and checked. */
import { type Log, silentLog } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import { type Cid, guestCid, type TxPath } from "@toril/vsock";
import type { DirectoryOptions, MachineKind, MachineOptions } from "./machine.ts";

/** Per core. Of it the drivers take about 8 MiB for rings and packets; the file cache gets a quarter. */
const MEMORY_PER_CORE = 64 * 2 ** 20;
/** Below this the drivers' own buffers would not leave a program anything. */
const MIN_MEMORY_PER_CORE = 16 * 2 ** 20;
/** A 32-bit WebAssembly memory. */
const MAX_MEMORY = 2 ** 32 - 65_536;
/** Linux' first guest CID: 0 to 2 are reserved. */
const DEFAULT_CID = 3;
const CACHE_SHARE = 4;
/** The name by which a guest would mount the file system (virtio 1.3 §5.11.4). */
export const FILE_SYSTEM_TAG = "toril";

export interface MachineSettings {
  readonly kind: MachineKind;
  readonly cores: number;
  /** Bytes, a multiple of 64 KiB per core. */
  readonly memory: number;
  readonly memoryPerCore: number;
  readonly cid: Cid;
  readonly directory: (Required<DirectoryOptions> & { readonly cache: CacheMode }) | undefined;
  readonly txPath: TxPath;
  readonly execArgv: readonly string[] | undefined;
  readonly log: Log;
}

/** @throws RangeError for what no machine can be */
export function machineSettings(options: MachineOptions): MachineSettings {
  const { kind, cores = 1, memory = cores * MEMORY_PER_CORE, cid = DEFAULT_CID, directory } = options;
  if (!Number.isInteger(cores) || cores < 1) throw new RangeError(`${cores} cores: use a whole number from 1 up`);
  if (kind === "inline" && cores !== 1) throw new RangeError(`the inline machine has one core, not ${cores}`);
  const memoryPerCore = Math.floor(memory / cores / 65_536) * 65_536;
  if (!(memoryPerCore >= MIN_MEMORY_PER_CORE && memory <= MAX_MEMORY)) {
    const range = `${MIN_MEMORY_PER_CORE} bytes per core to ${MAX_MEMORY} in all`;
    throw new RangeError(`${memory} bytes of guest memory for ${cores} cores: use ${range}`);
  }
  return {
    kind,
    cores,
    memory: memoryPerCore * cores,
    memoryPerCore,
    cid: guestCid(cid),
    directory:
      directory === undefined
        ? undefined
        : { access: "read-only", cache: "auto", cacheBytes: Math.floor(memoryPerCore / CACHE_SHARE), ...directory },
    txPath: options.txPath ?? "zero-copy",
    execArgv: options.execArgv,
    log: options.log ?? silentLog,
  };
}

/** The lines of a boot log that every machine has. */
export function describeMachine(settings: MachineSettings): string[] {
  const { cores, memoryPerCore, cid, directory, txPath } = settings;
  const lines = [
    `${settings.kind} machine: ${cores} ${cores === 1 ? "core" : "cores"}, ${mebibytes(memoryPerCore)} each`,
  ];
  lines.push(`vsock device: CID ${cid}, ${txPath}, dedicated to core 0`);
  if (directory === undefined) lines.push("file device: none");
  else lines.push(`file device: ${directory.path}, ${directory.access}, cache ${directory.cache}, dedicated to core 0`);
  return lines;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes % 2 ** 20 === 0 ? 0 : 1)} MiB`;
}
