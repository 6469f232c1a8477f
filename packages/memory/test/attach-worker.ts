/** Reads three bytes of the memory it attaches, and writes each plus one elsewhere. */
import { workerData } from "node:worker_threads";
import { type GuestAddress, GuestMemory } from "../src/index.ts";

const { wasm, base, from, to } = workerData as {
  wasm: object;
  base: GuestAddress;
  from: GuestAddress;
  to: GuestAddress;
};
const memory = GuestMemory.attach(wasm, base);
const bytes = new Uint8Array(3);
memory.read(from, bytes);
memory.write(
  to,
  bytes.map((byte) => byte + 1),
);
