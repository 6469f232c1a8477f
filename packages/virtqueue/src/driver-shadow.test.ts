import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DriverShadow, type Slot } from "./driver-shadow.ts";

/** Takes `held` descriptors as a driver does: along the free list. */
function take(shadow: DriverShadow<number>, held: number, writable: number, token: number): Slot<number>[] {
  const slots = [shadow.firstFree];
  for (let slot = shadow.firstFree.next; slots.length < held; slot = slot.next) slots.push(slot);
  shadow.take(held, slots.at(-1) ?? shadow.firstFree, writable, token);
  return slots;
}

describe("the driver's shadow", () => {
  it("gives every descriptor to one chain at a time, whatever the order in which chains come back", () => {
    const commands = fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 5 })), { maxLength: 200 });
    fc.assert(
      fc.property(commands, (steps) => {
        const shadow = new DriverShadow<number>(16, 3);
        const chains: { token: number; slots: Slot<number>[] }[] = [];
        let token = 0;
        for (const [release, pick, held] of steps) {
          const [chain] = release && chains.length > 0 ? chains.splice(pick % chains.length, 1) : [];
          const [head] = chain?.slots ?? [];
          if (chain !== undefined && head !== undefined) {
            expect(shadow.shown(head.index)).toBe(head);
            expect(shadow.release(head)).toBe(chain.token);
            expect(shadow.shown(head.index)).toBeUndefined();
          } else if (shadow.free >= held) {
            const slots = take(shadow, held, 7, token);
            expect(shadow.shown(slots[0]?.index ?? -1)).toBeUndefined(); // the device can't know it yet
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
    const isShown = (slot: Slot<number> | undefined): boolean => shadow.shown(slot?.index ?? -1) !== undefined;
    const [early] = take(shadow, 1, 0, 1); // shown by publication 1
    shadow.published();
    shadow.published();
    shadow.published(); // counting starts anew: the next one is number 1 again
    const [late] = take(shadow, 1, 0, 2);
    expect([isShown(early), isShown(late)]).toEqual([true, false]);
    for (let i = 0; i < 10; i++) {
      shadow.published();
      expect([isShown(early), isShown(late)]).toEqual([true, true]);
    }
  });

  it("only heads are chains", () => {
    const shadow = new DriverShadow<number>(4);
    const [head, second] = take(shadow, 3, 0, 1);
    shadow.published();
    expect([shadow.shown(head?.index ?? -1), shadow.shown(second?.index ?? -1), shadow.shown(3)]).toEqual([
      head,
      undefined,
      undefined,
    ]);
  });

  it("caps what may be written at the 32 bits of a used element", () => {
    const shadow = new DriverShadow<number>(4);
    const [head] = take(shadow, 1, 2 ** 32, 1);
    expect(head?.writable).toBe(0xffff_ffff);
  });
});
