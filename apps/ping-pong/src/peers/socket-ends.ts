/** The ends of Node peers over sockets, each in a process of its own. */
import { connect, createServer, type Socket } from "node:net";
import { monotonicNow } from "@toril/host";
import type { Job, PingReport } from "../job.ts";
import type { Link } from "../link.ts";
import { PingEnd } from "../ping-end.ts";
import { PongEnd } from "../pong-end.ts";
import type { ClientTask, ServerUp, Target, TaskReply } from "./roles.ts";

/** @param path of the Unix socket; a TCP port of this computer unless given */
export function runSocketServer(path: string | undefined): void {
  const server = createServer((socket) => {
    const end = new PongEnd(linkOf(socket));
    socket.on("data", (bytes: Buffer) => end.feed(bytes));
    socket.on("drain", () => end.drain());
    socket.on("error", () => socket.destroy());
  });
  server.listen(path === undefined ? { port: 0, host: "127.0.0.1" } : { path }, () => {
    const address = server.address();
    const target: Target =
      typeof address === "object" && address !== null
        ? { kind: "tcp", port: address.port }
        : { kind: "unix", path: path ?? "" };
    const up: ServerUp = { kind: "up", target };
    process.send?.(up);
  });
  // Whoever started it is gone.
  process.on("disconnect", () => process.exit());
}

export function runSocketClient(): void {
  process.on("message", (task: ClientTask) => {
    ask(task).then(
      (report) => process.send?.({ kind: "report", report } satisfies TaskReply),
      (error: unknown) => process.send?.({ kind: "failed", message: String(error) } satisfies TaskReply),
    );
  });
  process.on("disconnect", () => process.exit());
}

async function ask({ target, job }: ClientTask): Promise<PingReport> {
  const socket = connect(target.kind === "tcp" ? { port: target.port, host: "127.0.0.1" } : { path: target.path });
  const end = pingOver(socket, job);
  socket.on("error", (error) => end.fail(error));
  if (target.kind === "vsock") await connectGuest(socket, target.guestPort, end);
  socket.on("data", (bytes: Buffer) => end.feed(bytes));
  end.start();
  return end.report;
}

function pingOver(socket: Socket, job: Job): PingEnd {
  const end = new PingEnd({ job, link: linkOf(socket), now: monotonicNow(), counters: () => ({}) });
  socket.on("drain", () => end.drain());
  socket.on("close", () => end.fail(new Error("the connection was closed in the middle of a run")));
  return end;
}

/** Firecracker's scheme: one line there, one line back, then the stream. */
function connectGuest(socket: Socket, guestPort: number, end: PingEnd): Promise<void> {
  socket.write(`CONNECT ${guestPort}\n`);
  return new Promise((resolve, reject) => {
    // If it never answers, the connection has failed.
    end.report.catch(reject);
    let line = "";
    const look = (bytes: Buffer): void => {
      line += bytes.toString("latin1");
      if (!line.endsWith("\n")) return;
      socket.off("data", look);
      if (line.startsWith("OK ")) resolve();
      else reject(new Error(`the vsock device answered ${JSON.stringify(line)}`));
    };
    socket.on("data", look);
  });
}

function linkOf(socket: Socket): Link {
  socket.setNoDelay(true);
  let room: "some" | "none" = "some";
  socket.on("drain", () => {
    room = "some";
  });
  return {
    write: (bytes) => {
      if (room === "none" || socket.destroyed) return 0;
      if (!socket.write(bytes)) room = "none";
      return bytes.length;
    },
    close: () => socket.end(),
  };
}
