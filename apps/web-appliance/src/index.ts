/**
 * The web appliance: HTTP/1.1 over virtio-vsock, files over virtio-fs. It is an ordinary program: all it uses are the
 * system calls that `main` gets.
 */
import { type AccessEntry, HttpServer } from "@toril/http";
import type { Sys } from "@toril/machine";
import { accessLine } from "./access-log.ts";
import { Latencies } from "./latencies.ts";
import { StaticFiles } from "./static-files.ts";

export interface WebApplianceOptions {
  /** The vsock port to listen on; 80 unless told. */
  readonly port?: number;
  /** One line per request on the machine's log. */
  readonly accessLog?: boolean;
  readonly maxConnections?: number;
  /** How long requests that are under way may take once the machine stops. */
  readonly graceMs?: number;
}

/** Connections that wait to be accepted: a burst of clients is not refused. */
const BACKLOG = 1024;

export async function main(sys: Sys): Promise<void> {
  const {
    port = 80,
    accessLog = false,
    maxConnections = 1024,
    graceMs = 5_000,
  } = (sys.args ?? {}) as WebApplianceOptions;
  const files = new StaticFiles(sys.fs);
  const latencies = new Latencies();
  const onAccess = (entry: AccessEntry): void => {
    latencies.add(entry.latencyMs);
    if (accessLog) sys.log.info(accessLine(entry, sys.wallClock()));
  };
  const server = new HttpServer(
    {
      sockets: sys.net,
      clock: sys.clock,
      wallClock: () => sys.wallClock(),
      spawn: (task) => void sys.threads.spawn((own) => task(own.net), { name: "http connection" }),
      log: sys.log,
      text: sys.text,
    },
    { limits: { connections: maxConnections }, onAccess },
    (request) => files.answer(request),
  );
  sys.report("web appliance", () => ({
    ...server.stats,
    responses: Object.fromEntries(server.stats.responses.map((count, i) => [`${i}xx`, count])),
    latency: latencies.summary(),
  }));

  const listener = sys.net.socket();
  sys.net.bind(listener, port);
  sys.net.listen(listener, BACKLOG);
  sys.stopping.addEventListener("abort", () => void server.close({ graceMs }));
  sys.ready();
  // A machine that was asked to stop while it booted has fired already.
  if (!sys.stopping.aborted) await server.serve(listener);
  files.close();
}
