/** A Log for a terminal: one line a message, on stderr, so that stdout stays the program's own. */
import { stderr } from "node:process";
import type { Log, LogFields } from "@toril/virtio/platform";

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LEVELS)[number];

export interface ConsoleLogOptions {
  /** The least important messages that are shown; `info` unless told. */
  readonly level?: LogLevel;
  /** Takes the lines, each with its line feed; stderr unless told. */
  readonly write?: (line: string) => void;
  /** Wall-clock milliseconds; Date.now unless told. */
  readonly now?: () => number;
}

export function consoleLog(options: ConsoleLogOptions = {}): Log {
  const { level = "info", write = (line) => void stderr.write(line), now = Date.now } = options;
  const least = LEVELS.indexOf(level);
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (LEVELS.indexOf(own) < least) return;
      const time = new Date(now()).toISOString().slice(11, 23);
      write(`${time} ${own.padEnd(5)} ${oneLine(message)}${written(fields)}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function written(fields: LogFields): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) text += ` ${name}=${typeof value === "string" ? quoted(value) : value}`;
  }
  return text;
}

/** A value with spaces or control characters is quoted: what a peer sends cannot forge a line or move the cursor. */
function quoted(value: string): string {
  return /^[!-~]+$/.test(value) && !/["=]/.test(value) ? value : oneLine(JSON.stringify(value));
}

function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
