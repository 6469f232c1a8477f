import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DriverShadow } from "./driver-shadow.ts";

/** Takes `held` descriptors as a driver does: along the free list. The first one is the head. */
function take(shadow: DriverShadow<number>, held: number, writable: number, token: number): number[] {
  const taken = [shadow.firstFree];
  while (taken.length < held) taken.push(shadow.after(taken.at(-1) ?? 0));
  const head = held === 1 ? shadow.takeOne(writable, token) : shadow.take(held, taken.at(-1) ?? 0, writable, token);
  expect(head).toBe(taken[0]);
  return taken;
}

const isShown = (shadow: DriverShadow<number>, id: number | undefined): boolean => shadow.shown(id ?? -1) !== undefined;

describe("the driver's shadow", () => {
  it("gives every descriptor to one chain at a time, whatever the order in which chains come back", () => {
    const commands = fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 5 })), { maxLength: 200 });
    fc.assert(
      fc.property(commands, (steps) => {
        const shadow = new DriverShadow<number>(16, 3);
        const chains: { token: number; slots: number[] }[] = [];
        let token = 0;
        for (const [release, pick, held] of steps) {
          const [chain] = release && chains.length > 0 ? chains.splice(pick % chains.length, 1) : [];
          const [head] = chain?.slots ?? [];
          if (chain !== undefined && head !== undefined) {
            const slot = shadow.shown(head);
            expect(slot?.held).toBe(chain.slots.length);
            if (slot !== undefined) expect(shadow.release(head, slot)).toBe(chain.token);
            expect(shadow.shown(head)).toBeUndefined();
          } else if (shadow.free >= held) {
            const slots = take(shadow, held, 7, token);
            expect(isShown(shadow, slots[0])).toBe(false); // the device can't know it yet
            shadow.published();
            chains.push({ token: token++, slots });
          }
          const taken = chains.flatMap(({ slots }) => slots);
          expect(new Set(taken).size).toBe(taken.length);
          expect(shadow.free).toBe(16 - taken.length);
        }
        expect(shadow.reset().sort((a, b) => a - b)).toEqual(chains.map((chain) => chain.token).sort((a, b) => a - b));
        expect(shadow.free).toBe(16);
        expect(new Set(take(shadow, 16, 0, 0)).size).toBe(16);
      }),
    );
  });

  it("tells shown chains from unshown ones when the count of publications starts anew", () => {
    const shadow = new DriverShadow<number>(4, 2);
    const [early] = take(shadow, 1, 0, 1); // shown by publication 1
    shadow.published();
    shadow.published();
    shadow.published(); // counting starts anew: the next one is number 1 again
    const [late] = take(shadow, 1, 0, 2);
    expect([isShown(shadow, early), isShown(shadow, late)]).toEqual([true, false]);
    for (let i = 0; i < 10; i++) {
      shadow.published();
      expect([isShown(shadow, early), isShown(shadow, late)]).toEqual([true, true]);
    }
  });

  it("only heads are chains", () => {
    const shadow = new DriverShadow<number>(4);
    const [head, second] = take(shadow, 3, 0, 1);
    shadow.published();
    expect([isShown(shadow, head), isShown(shadow, second), isShown(shadow, 3)]).toEqual([true, false, false]);
    expect([4, 0xffff_ffff].map((id) => isShown(shadow, id))).toEqual([false, false]);
  });

  it("caps what may be written at the 32 bits of a used element", () => {
    const shadow = new DriverShadow<number>(4);
    const [head] = take(shadow, 2, 2 ** 32, 1);
    shadow.published();
    expect(shadow.shown(head ?? -1)?.writable).toBe(0xffff_ffff);
  });
});
