import { describe, expect, it } from "vitest";
import type { AbortSignalLike } from "./abort.ts";
import { CancelSource } from "./cancel.ts";

describe("CancelSource", () => {
  it("calls each listener once, in order, and knows why", () => {
    const source = new CancelSource();
    const calls: string[] = [];
    const listener = (): void => void calls.push("a");
    source.signal.addEventListener("abort", listener);
    source.signal.addEventListener("abort", listener, { once: true });
    source.signal.addEventListener("abort", () => calls.push(`b ${String(source.signal.aborted)}`));
    source.cancel("enough");
    source.cancel("again");
    expect(calls).toEqual(["a", "b true"]);
    expect(source.signal.reason).toBe("enough");
  });

  it("forgets a listener that is removed", () => {
    const source = new CancelSource();
    const listener = (): void => expect.unreachable();
    source.signal.addEventListener("abort", listener);
    source.signal.removeEventListener("abort", listener);
    source.cancel();
    expect(source.signal.aborted).toBe(true);
  });

  it("has the shape of the web's signal", () => {
    const signal: AbortSignalLike = new AbortController().signal;
    expect(signal.aborted).toBe(false);
  });
});
