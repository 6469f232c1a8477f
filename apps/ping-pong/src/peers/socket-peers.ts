/** Node's sockets: server and client are processes of their own. Also the client of a vsock device in another process. */
import { type ChildProcess, fork } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Job, PingReport } from "../job.ts";
import type { Peer, PeerOptions } from "./peer.ts";
import { pin } from "./pinning.ts";
import type { ClientTask, ServerUp, Target, TaskReply } from "./roles.ts";

/** A process that measures over sockets, one job at a time. */
export class SocketClient {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(module: URL, cpu: number | undefined): Promise<SocketClient> {
    const child = startEnd(module, ["client"]);
    if (cpu !== undefined && child.pid !== undefined) await pin("process", child.pid, cpu);
    return new SocketClient(child);
  }

  async run(target: Target, job: Job): Promise<PingReport> {
    const answered = answer(this.#process);
    this.#process.send({ target, job } satisfies ClientTask);
    const reply = (await answered) as TaskReply;
    if (reply.kind === "failed") throw new Error(reply.message);
    return reply.report;
  }

  stop(): Promise<void> {
    return endProcess(this.#process);
  }
}

export async function startSocketPeer(name: "node-unix" | "node-tcp", options: PeerOptions): Promise<Peer> {
  const directory = name === "node-unix" ? await mkdtemp(join(tmpdir(), "toril-ping-pong-")) : undefined;
  const path = directory === undefined ? "tcp" : join(directory, "socket");
  const server = startEnd(options.process, ["server", path]);
  const { target } = (await answer(server)) as ServerUp;
  const [clientCpu, serverCpu] = options.cpus ?? [];
  if (serverCpu !== undefined && server.pid !== undefined) await pin("process", server.pid, serverCpu);
  const client = await SocketClient.start(options.process, clientCpu);
  return {
    name,
    run: (job) => client.run(target, job),
    async stop() {
      await Promise.all([client.stop(), endProcess(server)]);
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

function startEnd(module: URL, args: readonly string[]): ChildProcess {
  return fork(module, args, { serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] });
}

/** Its next message. @throws Error when it ends instead */
function answer(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error("the process of this end has ended"));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message);
    });
    if (child.exitCode !== null || child.signalCode !== null) ended();
  });
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.connected) child.disconnect();
  else child.kill("SIGKILL");
  await ended;
}
