/** What a command works with: the process, or a test's stand-in for it. */
export interface CommandContext {
  /** Results; with `--json` one document and nothing else. */
  stdout(text: string): void;
  /** What happens meanwhile. */
  stderr(text: string): void;
}
