/** Functions of the host's side, for tests of `runHost`. */
import { threadId } from "node:worker_threads";
import type { HostCalls } from "../src/host-program.ts";

/** Connects to the guest's echo program and says what came back, and on which thread. */
export async function echoed(host: HostCalls, args: unknown): Promise<object> {
  const { port, text } = args as { readonly port: number; readonly text: string };
  const back = await new Promise<string>((resolve, reject) => {
    let got = "";
    host.connect(port, (stream) => ({
      opened: () => void stream.write(new TextEncoder().encode(text)),
      data: (chunk) => {
        got += new TextDecoder().decode(chunk.bytes);
        chunk.release();
        if (got.length === text.length) stream.end();
      },
      end: () => resolve(got),
      drain: () => {},
      closed: (errno) => (errno === 0 ? resolve(got) : reject(new Error(`closed with ${errno}`))),
    }));
  });
  const { bytesFromGuest } = host.stats()["vsock device"] ?? {};
  return { back, bytesFromGuest, thread: threadId };
}

/** The host's clock. */
export function time(host: HostCalls): number {
  return host.clock.now();
}

export function fails(): never {
  throw new RangeError("as it was told to");
}

/** What cannot be copied. */
export function returnsFunction(): () => void {
  return () => {};
}
