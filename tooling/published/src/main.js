// The packages as their users get them. Each is packed, looked at with publint and "are the types wrong", installed with npm
// into an empty project of its own, imported, and its README's examples are type-checked and run there. Then the command
// `toril` is used. Prints what each package weighs. Needs built packages: `pnpm build` first.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { extractExamples } from "@toril/tooling-readme-examples";
import { tryCommand } from "./command.js";
import { importedPackages, installInto, runExamples, surprises } from "./install.js";
import { packAll, withNeeds } from "./pack.js";
import { run } from "./run.js";
import { bundleSize, fileSize, kib } from "./sizes.js";

const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));
const typeRoots = fileURLToPath(new URL("../node_modules/@types", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "toril-published-"));

/** @param {import("./pack.js").Packed} packed */
async function check(packed) {
  const { name, tarball, imports } = packed;
  run(["publint", "--strict", tarball], scratch);
  // The types question is about imports: a package that is only a command has none.
  if (imports.length > 0) run(["attw", tarball, "--profile", "esm-only", "--no-emoji"], scratch);

  // Alone, as most users have it: what comes along?
  const alone = join(scratch, name, "alone");
  const installed = installInto(alone, [name], all);
  const wrong = surprises(installed, [name], all);
  if (wrong.length > 0) throw new Error(`npm install ${name} should not bring, or lacks: ${wrong.join(", ")}`);

  // An example may use others of our packages beside it; its user installs those, too.
  const beside = extractExamples(packed.readme).flatMap(({ code }) => importedPackages(code));
  const project = join(scratch, name, "examples");
  installInto(project, [...new Set([name, ...beside])], all);
  const examples = runExamples(project, packed, typeRoots);
  if (name === "toril") await tryCommand(alone);

  const ours = withNeeds([name], all).length - 1;
  console.log(
    `${name}: well; ${examples} examples; ${kib(fileSize(tarball))} packed; brings ${ours} of ours, ${installed.length - ours - 1} others`,
  );
  for (const path of imports)
    console.log(`    ${path}: ${kib(bundleSize(alone, path))} bundled, minified, gzipped, with all it needs`);
}

const all = packAll(packages, scratch);
try {
  console.log(`Node ${process.versions.node}`);
  for (const packed of all) {
    try {
      await check(packed);
    } catch (error) {
      console.error(`${packed.name}: FAILED: ${error instanceof Error ? error.message : error}`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
