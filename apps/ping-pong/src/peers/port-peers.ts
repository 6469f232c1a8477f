/** Node's MessagePort between two threads. */
import { MessageChannel, Worker } from "node:worker_threads";
import type { Peer, PeerOptions } from "./peer.ts";
import { pin } from "./pinning.ts";
import type { TaskReply, ThreadRole } from "./roles.ts";

export async function startPortPeer(how: "copy" | "transfer", { process, cpus }: PeerOptions): Promise<Peer> {
  const { port1, port2 } = new MessageChannel();
  const start = (end: "ping" | "pong", port: typeof port1, cpu: number | undefined): Promise<Worker> =>
    startThread(process, { end, port, how, cpu });
  const [ping, pong] = await Promise.all([start("ping", port1, cpus?.[0]), start("pong", port2, cpus?.[1])]);
  return {
    name: `message-port-${how}`,
    async run(job) {
      const ready = answer(pong);
      pong.postMessage(job);
      await ready;
      const answered = answer(ping);
      ping.postMessage(job);
      const reply = (await answered) as TaskReply;
      if (reply.kind === "failed") throw new Error(reply.message);
      return reply.report;
    },
    async stop() {
      await Promise.all([ping.terminate(), pong.terminate()]);
    },
  };
}

async function startThread(module: URL, role: ThreadRole): Promise<Worker> {
  const worker = new Worker(module, { workerData: role, transferList: [role.port] });
  const { thread } = (await answer(worker)) as { readonly thread: number | undefined };
  if (role.cpu !== undefined && thread !== undefined) await pin("thread", thread, role.cpu);
  return worker;
}

function answer(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (reason: unknown): void => {
      worker.off("message", arrived);
      reject(reason instanceof Error ? reason : new Error("the thread of this end has ended"));
    };
    const arrived = (message: unknown): void => {
      worker.off("error", failed);
      worker.off("exit", failed);
      resolve(message);
    };
    worker.once("error", failed);
    worker.once("exit", failed);
    worker.once("message", arrived);
  });
}
