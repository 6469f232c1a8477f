/** A bug that somebody could make: one small change of one file, and the tests that must fail of it. */
export interface Mutant {
  /** What is broken, as a clause: "the driver …". */
  readonly what: string;
  /** Why somebody could write it that way. */
  readonly why: string;
  /** The folder under packages/. */
  readonly package: string;
  /** In the package. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
  /** In the package; at least one test in them must fail. */
  readonly tests: readonly string[];
}

/** @throws Error when the text is not there exactly once: a mutant that changes nothing proves nothing. */
export function mutate(source: string, { package: folder, file, text, replacement }: Mutant): string {
  const [before, after, ...more] = source.split(text);
  const place = `packages/${folder}/${file}`;
  if (before === undefined || after === undefined) {
    throw new Error(
      `${place} does not contain this any more, so its mutant proves nothing; rewrite the mutant:\n${text}`,
    );
  }
  if (more.length > 0)
    throw new Error(`${place} contains this more than once; make the mutant's text longer:\n${text}`);
  return before + replacement + after;
}
