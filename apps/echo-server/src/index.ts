/** An echo server on vsock port 7: a thread for each connection. `toril run … --forward 7000:7`, then `nc localhost 7000` */
import type { Sys } from "@toril/machine";
import type { Socket } from "@toril/sockets";

const ECHO_PORT = 7;

export async function main(sys: Sys): Promise<void> {
  const server = sys.net.socket();
  sys.net.bind(server, ECHO_PORT);
  sys.net.listen(server);
  sys.log.info(`echoing on port ${ECHO_PORT}`);
  sys.ready();
  for (;;) {
    // When the machine stops, the wait ends, and the program with it.
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    sys.threads.spawn((own) => echo(own, peer), { name: "echo" });
  }
}

async function echo({ net }: Sys, peer: Socket): Promise<void> {
  net.adopt(peer); // it is this thread's from now on, and closed with it
  const bytes = new Uint8Array(64 * 1024);
  for (let n = await net.recv(peer, bytes); n > 0; n = await net.recv(peer, bytes)) {
    await net.send(peer, bytes.subarray(0, n));
  }
  net.close(peer);
}
