/** What the guest copies for a response: no more than its head, since the file goes out from where it was read to. */
import { connect } from "node:net";
import { ab } from "./ab.ts";
import { type Result, result } from "./report.ts";
import { type Form, startToril } from "./servers.ts";

export interface CopiesOptions {
  readonly directory: string;
  readonly page: string;
  readonly form: Form;
  readonly requests: number;
}

/** What `toril serve --stats --json` tells of a machine, as far as it is asked for here. */
interface Told {
  readonly stats: {
    readonly parts: {
      readonly "vsock driver": { readonly txCopied: { readonly userToPacket: number; readonly packetToRing: number } };
      readonly "file driver": { readonly bytesCopied: number };
      readonly "web appliance": { readonly requests: number };
    };
  };
}

/** The length of the head that a client such as ab gets. */
function headBytes(url: string, page: string): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => {
      text += piece;
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      resolve(end + 4);
      socket.destroy();
    });
    socket.once("error", reject);
    socket.write(`GET /${page} HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: ${hostname}\r\n\r\n`);
  });
}

/** Bytes copied per response, against the bytes of its head, on each machine. */
export async function copiesPerResponse(options: CopiesOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const machine of ["inline", "dedicated"] as const) {
    const flags = ["--machine", machine, "--stats"];
    const server = await startToril(`toril ${machine}`, options.directory, { flags, form: options.form });
    const load = { requests: options.requests, concurrency: 32, keepAlive: "keep-alive" } as const;
    const head = await headBytes(server.url, options.page);
    await ab(`${server.url}${options.page}`, load);
    const { stats } = JSON.parse(await server.stop()) as Told;
    const { "vsock driver": vsock, "file driver": files, "web appliance": web } = stats.parts;
    const copied = vsock.txCopied.userToPacket + vsock.txCopied.packetToRing + files.bytesCopied;
    results.push(
      result({
        name: `${machine}, zero-copy: bytes copied in the guest per response`,
        value: copied / web.requests,
        unit: "bytes",
        better: "lower",
        peer: "bytes of the response's head",
        peerValue: head,
      }),
    );
  }
  return results;
}
