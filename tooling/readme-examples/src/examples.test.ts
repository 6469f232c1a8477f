// Runs the examples of every README against the sources, and type-checks them. An example lives for the run in the
// package's own folder, so that it can import exactly what a user of the package can, and the package itself by name.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { extractExamples, normalized } from "./extract.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const preload = `${root}tooling/vitest/tsx-preload.js`;
const EXAMPLE_TIMEOUT_MS = 30_000;

/** A failing command rejects, with its output: that is the message the reader needs. */
const execute = promisify(execFile);

const homes = ["packages", "apps"].flatMap((folder) =>
  readdirSync(`${root}${folder}`).map((name) => `${folder}/${name}`),
);
const readmes = homes.map((home) => ({ readme: `${home}/README.md`, home }));
// The front page is about the whole: its examples see what the command line sees.
readmes.push({ readme: "README.md", home: "packages/toril" });

for (const { readme, home } of readmes.filter(({ readme }) => existsSync(root + readme))) {
  const examples = extractExamples(readFileSync(root + readme, "utf8"));
  if (examples.length === 0) continue;

  describe(readme, () => {
    const folder = `${root}${home}/.examples/${readme === "README.md" ? "root" : "package"}`;
    const fileOf = (line: number): string => `${folder}/line-${line}.ts`;

    beforeAll(() => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      const config = { extends: `${root}tooling/typescript/node.json`, include: ["*.ts"] };
      writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
      for (const { line, code } of examples) writeFileSync(fileOf(line), `${code}\nexport {};\n`);
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it("examples compile", { timeout: EXAMPLE_TIMEOUT_MS }, async () => {
      await execute(`${root}node_modules/.bin/tsc`, ["-p", folder, "--pretty", "false"], { cwd: root });
    });

    it.each(examples)("example in line $line runs", { timeout: EXAMPLE_TIMEOUT_MS }, async ({ line, output }) => {
      const args = ["--conditions=@toril/source", "--import", preload, fileOf(line)];
      const { stdout } = await execute(process.execPath, args, { cwd: `${root}${home}`, timeout: EXAMPLE_TIMEOUT_MS });
      if (output !== undefined) expect(normalized(stdout)).toBe(normalized(output));
    });
  });
}
