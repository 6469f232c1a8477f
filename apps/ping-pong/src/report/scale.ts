/** Logarithmic axes. */

export interface Scale {
  /** From a value to a place. */
  (value: number): number;
  readonly ticks: readonly Tick[];
}

interface Tick {
  readonly at: number;
  readonly value: number;
  readonly weight: "major" | "minor";
}

/**
 * Whole decades around the values, or half ones when there is little to show.
 * @param from where the least value goes; @param to where the greatest goes
 */
export function logScale(values: readonly number[], from: number, to: number): Scale {
  const good = values.filter((value) => value > 0 && Number.isFinite(value));
  const low = niceBelow(Math.min(...good, 1e9));
  const high = Math.max(niceAbove(Math.max(...good, low)), low * 10);
  const place = (value: number): number =>
    from + ((Math.log10(value) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))) * (to - from);
  const ticks: Tick[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** exponent;
      if (value < low * 0.999 || value > high * 1.001) continue;
      ticks.push({ at: place(value), value, weight: digit === 1 ? "major" : "minor" });
    }
  }
  return Object.assign(place, { ticks });
}

const STEPS = [1, 2, 5, 10];

function niceBelow(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * (STEPS.filter((step) => step * decade <= value * 1.0001).at(-1) ?? 1);
}

function niceAbove(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * (STEPS.find((step) => step * decade >= value * 0.9999) ?? 10);
}
