import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DriverShadow } from "./driver-shadow.ts";

/** Takes `held` descriptors as a driver does: along the free list. */
function take(shadow: DriverShadow<number>, held: number, writable: number, token: number): number[] {
  const indices = [shadow.firstFree];
  while (indices.length < held) indices.push(shadow.nextFree(indices.at(-1) ?? 0));
  shadow.take(held, indices.at(-1) ?? 0, writable, token);
  return indices;
}

describe("the driver's shadow", () => {
  it("gives every descriptor to one chain at a time, whatever the order in which chains come back", () => {
    const commands = fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 5 })), { maxLength: 200 });
    fc.assert(
      fc.property(commands, (steps) => {
        const shadow = new DriverShadow<number>(16, 3);
        const chains: { token: number; indices: number[] }[] = [];
        let token = 0;
        for (const [release, pick, held] of steps) {
          if (release && chains.length > 0) {
            const [chain] = chains.splice(pick % chains.length, 1);
            const head = chain?.indices[0] ?? -1;
            expect(shadow.mayReturn(head, 7)).toBe(true);
            expect(shadow.mayReturn(head, 8)).toBe(false);
            expect(shadow.release(head)).toBe(chain?.token);
            expect(shadow.mayReturn(head, 0)).toBe(false);
          } else if (shadow.free >= held) {
            const indices = take(shadow, held, 7, token);
            expect(shadow.mayReturn(indices[0] ?? -1, 0)).toBe(false); // not shown yet
            shadow.published();
            chains.push({ token: token++, indices });
          }
          const held_ = chains.flatMap(({ indices }) => indices);
          expect(new Set(held_).size).toBe(held_.length);
          expect(shadow.free).toBe(16 - held_.length);
        }
        expect(shadow.reset().sort((a, b) => a - b)).toEqual(chains.map((chain) => chain.token).sort((a, b) => a - b));
        expect(shadow.free).toBe(16);
      }),
    );
  });

  it("tells shown chains from unshown ones when the count of publications starts anew", () => {
    const shadow = new DriverShadow<number>(4, 2);
    const [early = -1] = take(shadow, 1, 0, 1); // shown by publication 1
    shadow.published();
    shadow.published();
    shadow.published(); // counting starts anew: the next one is number 1 again
    const [late = -1] = take(shadow, 1, 0, 2);
    expect([shadow.isShown(early), shadow.isShown(late)]).toEqual([true, false]);
    for (let i = 0; i < 10; i++) {
      shadow.published();
      expect([shadow.isShown(early), shadow.isShown(late)]).toEqual([true, true]);
    }
  });

  it("caps what may be written at the 32 bits of a used element", () => {
    const shadow = new DriverShadow<number>(4);
    const [head = -1] = take(shadow, 1, 2 ** 32, 1);
    shadow.published();
    expect(shadow.writable(head)).toBe(0xffff_ffff);
    expect(shadow.mayReturn(head, 0xffff_ffff)).toBe(true);
  });
});
