/** What the command says on a terminal: a log on stderr, with time and level; stdout stays for results. */
import type { Log, LogFields } from "@toril/virtio/platform";

export type LogLevel = "debug" | "info" | "warn" | "error";

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** @param write takes whole lines */
export function terminalLog(level: LogLevel, write: (line: string) => void): Log {
  const say =
    (at: LogLevel) =>
    (message: string, fields?: LogFields): void => {
      if (RANK[at] < RANK[level]) return;
      const prefix = at === "info" ? "" : `${at}: `;
      write(`toril: ${prefix}${message}${format(fields)}\n`);
    };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}

function format(fields: LogFields | undefined): string {
  const parts = Object.entries(fields ?? {}).filter(([, value]) => value !== undefined);
  return parts.length === 0 ? "" : ` (${parts.map(([name, value]) => `${name} ${value}`).join(", ")})`;
}
