/** A machine's options with every default filled in, and checked. */
import { type BusShape, busBytes, busShape } from "@toril/kernel";
import { type Log, silentLog } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import { type Cid, guestCid, type TxPath } from "@toril/vsock";
import type { DirectoryOptions, MachineKind, MachineOptions } from "./machine.ts";
import type { RecordOptions } from "./recording.ts";
import type { MachineTuning } from "./tuning.ts";
import { type VhostUserSettings, vhostUserSettings } from "./vhost-user/options.ts";

/** Per core. Of it the drivers take about 8 MiB for rings and packets; the file cache gets a quarter. */
const MEMORY_PER_CORE = 64 * 2 ** 20;
/** Below this the drivers' own buffers would not leave a program anything. */
const MIN_MEMORY_PER_CORE = 16 * 2 ** 20;
/** Less does not hold the kernel and the drivers themselves. */
const MIN_SCRIPT_HEAP = 32 * 2 ** 20;
/** A 32-bit WebAssembly memory. */
const MAX_MEMORY = 2 ** 32 - 65_536;
/** Linux' first guest CID: 0 to 2 are reserved. */
const DEFAULT_CID = 3;
const CACHE_SHARE = 4;
/** Cores begin at a WebAssembly page, so no two of them share a cache line or a page. */
const PAGE = 65_536;
/** As many as a board of cores holds. */
const MAX_CORES = 64;
/** The name by which a guest would mount the file system (virtio 1.3 §5.11.4). */
export const FILE_SYSTEM_TAG = "toril";

/** A core's share of guest memory. */
interface CoreMemory {
  readonly base: number;
  readonly size: number;
}

export interface MachineSettings {
  readonly kind: MachineKind;
  /** Bytes of guest memory in all. */
  readonly memory: number;
  /** By core. All of one size; the bus lies before the first. */
  readonly cores: readonly CoreMemory[];
  /** Absent on a machine of one core. It lies at address 0. */
  readonly bus: BusShape | undefined;
  readonly cid: Cid;
  readonly directory: (Required<DirectoryOptions> & { readonly cache: CacheMode }) | undefined;
  readonly txPath: TxPath;
  readonly preload: readonly string[];
  readonly scriptHeap: number | undefined;
  /** Only of the vhost-user machine. */
  readonly vhostUser: VhostUserSettings | undefined;
  readonly record: RecordOptions | undefined;
  readonly tuning: MachineTuning;
  readonly log: Log;
}

/** @throws RangeError for what no machine can be */
export function machineSettings(options: MachineOptions): MachineSettings {
  const { kind, cores = 1, cid = DEFAULT_CID, directory, scriptHeap, vhostUser } = options;
  if (!(Number.isInteger(cores) && cores >= 1 && cores <= MAX_CORES)) {
    throw new RangeError(`${cores} cores: use a whole number from 1 to ${MAX_CORES}`);
  }
  if (kind !== "dedicated" && cores !== 1) throw new RangeError(`the ${kind} machine has one core, not ${cores}`);
  if (kind !== "vhost-user" && vhostUser !== undefined) {
    throw new RangeError(`the ${kind} machine has no vhost-user devices: use kind "vhost-user"`);
  }
  if (scriptHeap !== undefined && !(scriptHeap >= MIN_SCRIPT_HEAP)) {
    throw new RangeError(`a script heap of ${scriptHeap} bytes: use ${MIN_SCRIPT_HEAP} or more`);
  }
  const bus = cores === 1 ? undefined : busShape(cores);
  const reserved = bus === undefined ? 0 : Math.ceil(busBytes(bus) / PAGE) * PAGE;
  const { memory = reserved + cores * MEMORY_PER_CORE } = options;
  const size = Math.floor((memory - reserved) / cores / PAGE) * PAGE;
  if (!(size >= MIN_MEMORY_PER_CORE && memory <= MAX_MEMORY)) {
    const least = reserved + cores * MIN_MEMORY_PER_CORE;
    throw new RangeError(`${memory} bytes of guest memory for ${cores} cores: use ${least} to ${MAX_MEMORY}`);
  }
  const cacheBytes = Math.floor(size / CACHE_SHARE);
  return {
    kind,
    memory: reserved + size * cores,
    cores: Array.from({ length: cores }, (_, core) => ({ base: reserved + core * size, size })),
    bus,
    cid: guestCid(cid),
    directory: directory === undefined ? undefined : { access: "read-only", cache: "auto", cacheBytes, ...directory },
    txPath: options.txPath ?? "zero-copy",
    preload: (options.preload ?? []).map((url) => url.href),
    scriptHeap,
    vhostUser:
      kind !== "vhost-user"
        ? undefined
        : vhostUserSettings(vhostUser, {
            directory: directory === undefined ? "none" : "given",
            cid: options.cid === undefined ? "default" : "given",
            cacheBytes,
          }),
    record: options.record,
    tuning: options.tuning ?? {},
    log: options.log ?? silentLog,
  };
}

/** The boot log: the machine, then a line for each core and each device, and where it is dedicated. */
export function describeMachine({ kind, cores, cid, directory, txPath }: MachineSettings): string[] {
  const threads = cores.length + (directory === undefined ? 1 : 2);
  const where = kind === "inline" ? "all in one thread" : `${threads} threads: one for each core and each device`;
  const lines = [`${kind} machine: ${where}`];
  cores.forEach(({ size }, core) => {
    const drivers = core > 0 ? "no devices" : directory === undefined ? "vsock driver" : "vsock and file drivers";
    lines.push(`core ${core}: ${mebibytes(size)} of guest memory, ${drivers}`);
  });
  lines.push(`vsock device: CID ${cid}, ${txPath}, dedicated to core 0`);
  if (directory === undefined) return [...lines, "file device: none"];
  const { path, access, cache, cacheBytes } = directory;
  const cached = cache === "none" ? "no cache" : `cache ${cache} (${mebibytes(cacheBytes)})`;
  return [...lines, `file device: ${path}, ${access}, ${cached}, dedicated to core 0`];
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes % 2 ** 20 === 0 ? 0 : 1)} MiB`;
}
