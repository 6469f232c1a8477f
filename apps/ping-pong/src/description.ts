import { cpus, release, totalmem } from "node:os";

/** The computer that the figures are from: they mean nothing without it. */
export function machineDescription(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpu?.model ?? "unknown CPU"}, ${memory} GiB, ${process.platform} ${release()}, Node ${process.version}`;
}
