/**
 * What runs in processes and threads of its own: the ends of the Node peers, and the client of a vsock device that is
 * another process. One module for all, so that a package ships one file: a child process is told what to be by its
 * arguments, a thread by its workerData.
 */
import { isMainThread, workerData } from "node:worker_threads";
import { runPortEnd } from "./peers/port-ends.ts";
import type { ThreadRole } from "./peers/roles.ts";
import { runSocketClient, runSocketServer } from "./peers/socket-ends.ts";

// A terminal signals all processes at once: whoever measures ends first, and these with it.
if (isMainThread) process.on("SIGINT", () => {});

if (isMainThread) {
  const [, , role, path] = process.argv;
  if (role === "server") runSocketServer(path === "tcp" ? undefined : path);
  else if (role === "client") runSocketClient();
  else throw new Error(`"${role}" is no end of a peer`);
} else {
  runPortEnd(workerData as ThreadRole);
}
