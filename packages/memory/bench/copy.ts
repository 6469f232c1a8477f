/**
 * What `write`, `read`, `copy` and `fill` of a guest memory cost, beside a bare `Uint8Array.set` of the same bytes.
 * "skewed" means that source and target differ modulo 8, as a payload behind a 44-byte header does.
 *
 *     pnpm --filter @toril/memory bench:copy
 */
import { addressAt, GuestMemory, guestAddress } from "@toril/memory";

const ROUNDS = 9;
const SIZES = [16, 64, 512, 4096, 16_384, 65_536];

function measure(bytes: number, run: () => void): string {
  const operations = Math.max(2000, Math.floor(1e7 / (bytes + 200)));
  const rounds: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < operations; i++) run();
    if (round > 0) rounds.push(Number(process.hrtime.bigint() - start) / operations);
  }
  return (rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN).toFixed(0).padStart(9);
}

console.log(
  "ns                  bytes  set alike set skewed     write    skewed      read    skewed      copy      fill",
);
for (const sharing of ["unshared", "shared"] as const) {
  const memory = GuestMemory.allocate({ size: 1 << 20, sharing });
  const [region] = memory.regions;
  if (region === undefined) throw new Error("a guest memory has a region");
  const even = guestAddress(4096);
  const odd = addressAt(even, 44);
  const other = guestAddress(1 << 19);
  for (const bytes of SIZES) {
    const host = new Uint8Array(bytes);
    const cells = [
      measure(bytes, () => region.u8.set(host, 4096)),
      measure(bytes, () => region.u8.set(host, 4096 + 44)),
      measure(bytes, () => memory.write(even, host)),
      measure(bytes, () => memory.write(odd, host)),
      measure(bytes, () => memory.read(even, host)),
      measure(bytes, () => memory.read(odd, host)),
      measure(bytes, () => memory.copy(other, odd, bytes)),
      measure(bytes, () => memory.fill(odd, bytes)),
    ];
    console.log(sharing.padEnd(12), String(bytes).padStart(12), ...cells);
  }
}
