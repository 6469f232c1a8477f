/** IMF-fixdate (RFC 9110 §5.6.7), both ways: `Sun, 06 Nov 1994 08:49:37 GMT`. */

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const IMF = /^(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat), (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;

/**
 * @param milliseconds since 1970-01-01 UTC; fractions of a second are cut off
 * @throws RangeError outside of the years 0 to 9999
 */
export function formatHttpDate(milliseconds: number): string {
  const date = new Date(milliseconds);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw new RangeError(`${milliseconds} ms is no date that HTTP can write`);
  const day = two(date.getUTCDate());
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `${DAYS[date.getUTCDay()]}, ${day} ${MONTHS[date.getUTCMonth()]} ${String(year).padStart(4, "0")} ${time} GMT`;
}

/** Milliseconds since 1970; `undefined` when the text is no date in this form. The obsolete forms are not read. */
export function parseHttpDate(text: string): number | undefined {
  const match = IMF.exec(text);
  if (match === null) return undefined;
  const [, day, monthName, year, hour, minute, second] = match;
  const month = MONTHS.indexOf(monthName ?? "");
  if (month < 0) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), month, Number(day));
  // A day that its month does not have would have moved the date on.
  if (date.getUTCDate() !== Number(day) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) {
    return undefined;
  }
  // A leap second is written 60: it is the next second.
  return date.setUTCHours(Number(hour), Number(minute), Number(second), 0);
}

/** The `Date` field's value, made anew once a second. */
export class DateCache {
  readonly #wallClock: () => number;
  #second = Number.NaN;
  #text = "";

  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  now(): string {
    const second = Math.floor(this.#wallClock() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = formatHttpDate(second * 1000);
    }
    return this.#text;
  }
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
