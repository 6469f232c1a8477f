/**
 * `pnpm mutants [WORD]`: breaks the code in every way that is listed (or in those whose description contains WORD), and
 * ends with 1 when the tests do not notice. `pnpm mutants --write`: writes the list in docs/testing.md.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { check, described } from "./check.ts";
import { DOCUMENT, documentWithList } from "./document.ts";
import { mutants } from "./mutants.ts";

const { values, positionals } = parseArgs({ options: { write: { type: "boolean" } }, allowPositionals: true });
if (values.write === true) writeFileSync(DOCUMENT, documentWithList());
else await checkThose(positionals[0] ?? "");

async function checkThose(word: string): Promise<void> {
  // An orderly end, so that no test process of a mutant stays behind.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  const chosen = mutants.filter((mutant) => `${mutant.package}/${mutant.file} ${mutant.what}`.includes(word));
  const verdicts = await check(chosen, ({ mutant, outcome }) => {
    const verdict = outcome.kind === "passed" ? "SURVIVED" : "killed  ";
    const by = outcome.kind === "passed" ? `not noticed by ${mutant.tests.join(", ")}` : `by: ${described(outcome)}`;
    console.log(`${verdict}  ${mutant.package}/${mutant.file}: ${mutant.what}\n          ${by}`);
  });
  const survived = verdicts.filter(({ outcome }) => outcome.kind === "passed").length;
  console.log(`${verdicts.length - survived} killed, ${survived} survived`);
  if (survived > 0 || verdicts.length === 0) process.exitCode = 1;
}
