/** What the guest copies for a response: no more than its head, since the file goes out from where it was read to. */
import { ab } from "./ab.ts";
import { type Result, result } from "./report.ts";
import { type Form, startToril } from "./servers.ts";

export interface CopiesOptions {
  readonly directory: string;
  readonly page: string;
  readonly bytes: number;
  readonly form: Form;
  readonly requests: number;
}

/** What `toril serve --stats --json` tells of a machine, as far as it is asked for here. */
interface Told {
  readonly stats: {
    readonly parts: {
      readonly "vsock driver": { readonly txCopied: { readonly userToPacket: number; readonly packetToRing: number } };
      readonly "file driver": { readonly bytesCopied: number };
      readonly "web appliance": { readonly requests: number; readonly bytesSent: number };
    };
  };
}

/** Bytes copied per response, against the bytes of its head, on each machine. */
export async function copiesPerResponse(options: CopiesOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const machine of ["inline", "dedicated"] as const) {
    const flags = ["--machine", machine, "--stats"];
    const server = await startToril(`toril ${machine}`, options.directory, { flags, form: options.form });
    const load = { requests: options.requests, concurrency: 32, keepAlive: "keep-alive" } as const;
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
        peerValue: web.bytesSent / web.requests - options.bytes,
      }),
    );
  }
  return results;
}
