import { expect, it } from "vitest";
import { extractExamples, normalized } from "./extract.js";

const readme = [
  "# A package",
  "```ts example",
  "console.log(1);",
  "```",
  "It prints",
  "```text",
  "1",
  "```",
  "```ts",
  "not.run();",
  "```",
  "```text",
  "belongs to nothing that runs",
  "```",
  "```ts example",
  'const ticks = "``";',
  "```",
].join("\n");

it("takes the marked blocks, with their line and the output that follows", () => {
  expect(extractExamples(readme)).toEqual([
    { line: 2, code: "console.log(1);\n", output: "1\n" },
    { line: 15, code: 'const ticks = "``";\n', output: undefined },
  ]);
});

it("compares without trailing blanks", () => {
  expect(normalized("a  \r\nb\n\n")).toBe("a\nb");
});
