/** Collects what was wrong in a run. Each finding is one line that says what was expected. */
import type { Log, LogFields } from "@toril/virtio/platform";

export class Findings {
  readonly #found: string[] = [];

  get all(): readonly string[] {
    return this.#found;
  }

  add(finding: string): void {
    // A world that has gone wrong goes wrong in the same way many times over.
    if (this.#found.length < 20 && !this.#found.includes(finding)) this.#found.push(finding);
  }

  check(holds: boolean, finding: string): void {
    if (!holds) this.add(finding);
  }
}

/** Errors that a machine may log, because a fault has caused them. */
export type Excuse = (message: string, fields: LogFields) => boolean;

/** A log that takes every error without an excuse for a finding. */
export function findingLog(findings: Findings, note: (line: string) => void, excused: Excuse): Log {
  const line = (level: string, message: string, fields: LogFields = {}): string =>
    `${level}: ${message} ${JSON.stringify(fields)}`;
  return {
    debug: () => {},
    info: () => {},
    warn: (message, fields) => note(line("warning", message, fields)),
    error: (message, fields = {}) => {
      note(line("error", message, fields));
      if (!excused(message, fields)) findings.add(`the machine logged: ${message} ${JSON.stringify(fields)}`);
    },
  };
}
