/** Records what goes through a guest's queues into files, on the guest's own thread: the devices may be anybody's. */
import { closeSync, openSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { QueueTap } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import { fuseTrace } from "@toril/virtio-fs";
import { vsockCapture } from "@toril/vsock";

export interface RecordOptions {
  /** A file for the vsock packets, as Wireshark reads them (pcap, LINKTYPE_VSOCK). It is overwritten. */
  readonly vsock?: string;
  /** A file for the file requests, a line each; `-`: stderr. It is overwritten. */
  readonly files?: string;
}

export interface Recording {
  readonly vsock: QueueTap | undefined;
  readonly files: QueueTap | undefined;
  /** Closes the files. Idempotent. */
  close(): void;
}

const STDERR = 2;

/** A file to record into cannot be written; `code` is Node's: ENOENT, EACCES, EISDIR … */
class RecordingError extends Error {
  override readonly name = "RecordingError";
  readonly code: string;

  constructor(path: string, cause: NodeJS.ErrnoException) {
    super(`cannot record into ${path}: ${cause.message}`, { cause });
    this.code = cause.code ?? "EIO";
  }
}

/**
 * Makes sure, before anything boots, that the files can be written. They are empty then.
 * @throws RecordingError when one cannot be opened
 */
export function checkRecording({ vsock, files }: RecordOptions): void {
  for (const path of [vsock, files]) if (path !== undefined && path !== "-") closeSync(openForWriting(path));
}

function openForWriting(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new RecordingError(path, error as NodeJS.ErrnoException);
  }
}

/**
 * Opens the files. Each record is written at once, so that nothing is missing when the process is killed. When one cannot
 * be written, the log says so and the recording ends; the machine goes on.
 * @throws RecordingError when one cannot be opened
 */
export function startRecording({ vsock, files }: RecordOptions, log: Log): Recording {
  const open: number[] = [];
  const writer = (path: string): ((bytes: Uint8Array | string) => void) => {
    let file: number | undefined = path === "-" ? STDERR : openForWriting(path);
    if (file !== STDERR) open.push(file);
    return (bytes) => {
      if (file === undefined) return;
      try {
        writeAll(file, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
      } catch (error) {
        file = undefined;
        log.error("recording ends: the file cannot be written", { path, reason: String(error) });
      }
    };
  };
  try {
    const writeLine = files === undefined ? undefined : writer(files);
    const trace = writeLine && fuseTrace((line) => writeLine(`${line}\n`), now);
    const capture = vsock === undefined ? undefined : vsockCapture(writer(vsock), now);
    return { vsock: capture, files: trace, close };
  } catch (error) {
    close();
    throw error;
  }

  function close(): void {
    for (const file of open.splice(0)) closeSync(file);
  }
}

const now = (): number => performance.timeOrigin + performance.now();

/** A pipe may take less than it is given. */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
