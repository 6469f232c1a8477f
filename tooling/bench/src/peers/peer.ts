/** What the peers in this folder have in common: a directory as argument, and a port told on stdout. */
import type { Server } from "node:http";

export const directory: string = process.argv[2] ?? ".";

/** Listens on a free port of the loopback, and prints one JSON document with the URL, as `toril serve --json` does. */
export function announce(server: Server): void {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("listening on no port");
    console.log(JSON.stringify({ url: `http://127.0.0.1:${address.port}/` }));
  });
}
