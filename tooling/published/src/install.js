import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { extractExamples, normalized } from "@toril/tooling-readme-examples";
import { transformSync } from "esbuild";
import { withNeeds } from "./pack.js";
import { run } from "./run.js";

/** @typedef {import("./pack.js").Packed} Packed */

/**
 * Installs the named packages from their tarballs, with npm, into an empty project: what a user has after
 * `npm install NAME`. What they need of ours comes from tarballs too, since nothing is published.
 * @param {string} project a folder that does not exist yet
 * @param {string[]} names
 * @param {Packed[]} all
 * @returns {string[]} all that is in node_modules then
 */
export function installInto(project, names, all) {
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const tarballs = withNeeds(names, all).map(({ tarball }) => tarball);
  run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", ...tarballs], project);
  const modules = join(project, "node_modules");
  return readdirSync(modules)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(modules, name)).map((one) => `${name}/${one}`) : [name],
    )
    .sort();
}

/**
 * Of ours, all that a project may contain, and nothing else: a package must not drag in what it does not need.
 * @param {string[]} installed
 * @param {string[]} names what was asked for
 * @param {Packed[]} all
 * @returns {string[]} what should not be there, or is missing
 */
export function surprises(installed, names, all) {
  const expected = withNeeds(names, all);
  const wanted = new Set(expected.map(({ name }) => name));
  const ours = all.map(({ name }) => name).filter((name) => installed.includes(name) !== wanted.has(name));
  // Who depends on nothing foreign must have nothing foreign.
  const foreign = expected.some((one) => one.foreign.length > 0)
    ? []
    : installed.filter((name) => !all.some((one) => one.name === name));
  return [...ours, ...foreign];
}

/**
 * The packages that a program imports, by name.
 * @param {string} code
 */
export function importedPackages(code) {
  const specifiers = [...code.matchAll(/\bfrom "(?<name>[^".][^"]*)"/g)].map(({ groups }) => groups?.name ?? "");
  return [
    ...new Set(
      specifiers
        .filter((name) => !name.startsWith("node:"))
        .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/")),
    ),
  ];
}

/**
 * Type-checks a README's examples against the installed declarations, then runs each with plain Node.
 * @param {string} project
 * @param {Packed} packed
 * @param {string} typeRoots where @types/node is: examples print with console.log
 * @returns {number} how many there were
 * @throws {import("./run.js").CommandFailed} when one does not compile or run
 * @throws {Error} when one prints something else than its README says
 */
export function runExamples(project, { name, readme, imports }, typeRoots) {
  const compilerOptions = {
    ...{ module: "NodeNext", target: "ES2022", lib: ["ES2023", "ES2024.SharedMemory"], strict: true },
    // Our declarations are looked into as well.
    ...{ skipLibCheck: false, noEmit: true, types: ["node"], typeRoots: [typeRoots] },
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  // Every entry can be imported, also those that no example shows.
  writeFileSync(
    join(project, "entries.ts"),
    imports.map((path, i) => `export * as entry${i} from "${path}";\n`).join(""),
  );
  const examples = extractExamples(readme);
  for (const { line, code } of examples) writeFileSync(join(project, `line-${line}.ts`), `${code}\nexport {};\n`);
  run(["tsc", "-p", project, "--pretty", "false"], project);
  for (const path of imports)
    run([process.execPath, "--eval", `await import("${path}")`, "--input-type=module"], project);
  for (const { line, code, output } of examples) {
    const file = join(project, `line-${line}.js`);
    writeFileSync(file, transformSync(code, { loader: "ts", target: "node20" }).code);
    const printed = run([process.execPath, file], project);
    if (output !== undefined && normalized(printed) !== normalized(output)) {
      throw new Error(`${name}: the example in line ${line} of the README printed\n${printed}\ninstead of\n${output}`);
    }
  }
  return examples.length;
}
