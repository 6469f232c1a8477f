// The rules of the house are enforced by tools (turbo.json, biome.json, tooling/typescript); here each is broken on
// purpose, to see that its tool notices.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const here = fileURLToPath(new URL("../", import.meta.url));
const nodeFree = ["memory", "virtqueue", "virtio", "kernel", "vsock", "sockets", "virtio-fs", "http"];

// Inside this package, so that Node's types can be found: the compiler must refuse them all the same.
let fixture: string;
beforeEach(() => {
  mkdirSync(`${here}.fixtures`, { recursive: true });
  fixture = `${mkdtempSync(`${here}.fixtures/workspace-`)}/`;
});
afterEach(() => rmSync(fixture, { recursive: true }));

function write(path: string, content: string | object): void {
  mkdirSync(dirname(join(fixture, path)), { recursive: true });
  writeFileSync(join(fixture, path), typeof content === "string" ? content : JSON.stringify(content));
}

function run(tool: string, ...args: string[]): { status: number | null; output: string } {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: "1", NO_COLOR: "1", COLUMNS: "400" };
  const result = spawnSync(`${root}node_modules/.bin/${tool}`, args, { cwd: fixture, env, encoding: "utf8" });
  return { status: result.status, output: result.stdout + result.stderr };
}

describe("imports only point down (turbo boundaries)", () => {
  function workspace(packages: Record<string, { imports: string[]; declares: string[] }>): void {
    write("package.json", { name: "fixture", private: true, packageManager: "pnpm@12.21.0" });
    write("pnpm-workspace.yaml", "packages:\n  - packages/*\n");
    const importers = Object.keys(packages).map((name) => `  packages/${name}: {}\n`);
    write("pnpm-lock.yaml", `lockfileVersion: '9.0'\nimporters:\n  .: {}\n${importers.join("")}`);
    copyFileSync(`${root}turbo.json`, `${fixture}turbo.json`);
    for (const [name, { imports, declares }] of Object.entries(packages)) {
      const dependencies = Object.fromEntries(declares.map((other) => [`@toril/${other}`, "workspace:*"]));
      write(`packages/${name}/package.json`, {
        name: `@toril/${name}`,
        version: "0.1.0",
        type: "module",
        dependencies,
      });
      write(`packages/${name}/turbo.json`, { extends: ["//"], tags: [name] });
      write(`packages/${name}/src/index.ts`, imports.map((other) => `import "@toril/${other}";\n`).join(""));
    }
    spawnSync("git", ["init", "-q"], { cwd: fixture });
  }

  it("accepts an import from a lower package", () => {
    workspace({ memory: { imports: [], declares: [] }, kernel: { imports: ["memory"], declares: ["memory"] } });
    expect(run("turbo", "boundaries")).toMatchObject({ status: 0 });
  });

  it("refuses an import from a higher package", () => {
    workspace({ memory: { imports: ["kernel"], declares: ["kernel"] }, kernel: { imports: [], declares: [] } });
    const { status, output } = run("turbo", "boundaries");
    expect(output).toContain("`@toril/kernel` found without any tag listed in allowlist");
    expect(status).not.toBe(0);
  });

  it("refuses an import that the package.json does not name", () => {
    workspace({ memory: { imports: [], declares: [] }, kernel: { imports: ["memory"], declares: [] } });
    const { status, output } = run("turbo", "boundaries");
    expect(output).toContain("@toril/memory");
    expect(status).not.toBe(0);
  });

  it("refuses a way around package.json, through a relative path", () => {
    workspace({ memory: { imports: [], declares: [] }, kernel: { imports: [], declares: [] } });
    write("packages/memory/src/index.ts", 'import "../../kernel/src/index.ts";\n');
    expect(run("turbo", "boundaries").status).not.toBe(0);
  });

  it("has a tag on every package, and rules for every tag", () => {
    const rules = readFileSync(`${root}turbo.json`, "utf8");
    for (const folder of ["packages", "apps", "tooling"]) {
      for (const name of readdirSync(`${root}${folder}`)) {
        // tooling/ also has folders of plain scripts.
        if (!existsSync(`${root}${folder}/${name}/package.json`)) continue;
        const { tags } = JSON.parse(readFileSync(`${root}${folder}/${name}/turbo.json`, "utf8")) as { tags: string[] };
        expect(tags, `${folder}/${name}`).toHaveLength(1);
        expect(rules).toContain(`"${tags[0]}": { "dependencies"`.replace(/ \{.*/, ""));
      }
    }
  });
});

const notEcmaScript = [
  ["a Node module", 'import { readFileSync } from "node:fs";\nexport const x: unknown = readFileSync;\n'],
  ["a Node module without prefix", 'import { readFileSync } from "fs";\nexport const x: unknown = readFileSync;\n'],
  ...[
    "process",
    "Buffer",
    "setTimeout",
    "setInterval",
    "setImmediate",
    "queueMicrotask",
    "performance",
    "console",
    "TextEncoder",
    "TextDecoder",
    "AbortController",
    "fetch",
    "structuredClone",
  ].map((name) => [name, `export const x: unknown = ${name};\n`] as const),
] as const;

describe("Node-free packages", () => {
  it.each(nodeFree)("%s is compiled without Node's types", (name) => {
    const config = JSON.parse(readFileSync(`${root}packages/${name}/tsconfig.json`, "utf8")) as { extends: string };
    expect(config.extends).toBe("@toril/tooling-typescript/node-free.json");
  });

  it("the compiler refuses what is not ECMAScript", () => {
    for (const [index, [, code]] of notEcmaScript.entries()) write(`src/${index}.ts`, code);
    for (const base of ["node-free", "node"]) {
      write(`${base}.json`, { extends: `${root}tooling/typescript/${base}.json`, include: ["src"] });
    }
    const { output } = run("tsc", "--noEmit", "--pretty", "false", "-p", "node-free.json");
    const refused = notEcmaScript.filter((_, index) => output.includes(`src/${index}.ts(`)).map(([what]) => what);
    expect(refused).toEqual(notEcmaScript.map(([what]) => what));
    // The same files are fine where Node is allowed: so it is the rule that refused them.
    expect(run("tsc", "--noEmit", "-p", "node.json")).toMatchObject({ status: 0 });
  });

  it("the linter refuses what is not ECMAScript, in sources but not in tests or Node packages", () => {
    copyFileSync(`${root}biome.json`, `${fixture}biome.json`);
    write(".gitignore", "node_modules/\n");
    const fine = ["packages/host/src", "packages/sockets/src/stream"];
    for (const [index, [, code]] of notEcmaScript.entries()) {
      const prefixed = code.replace('"fs"', '"node:fs"');
      for (const name of nodeFree) write(`packages/${name}/src/${index}.ts`, code);
      write(`packages/memory/src/${index}.test.ts`, prefixed);
      for (const folder of fine) write(`${folder}/${index}.ts`, prefixed);
    }
    const result = run("biome", "lint", "--max-diagnostics=none", "--reporter=github");
    const flagged = new Set([...result.output.matchAll(/file=[^,]*?(packages[^,]+),/g)].map((match) => match[1]));
    const expected = nodeFree.flatMap((name) => notEcmaScript.map((_, index) => `packages/${name}/src/${index}.ts`));
    expect([...flagged].sort()).toEqual(expected.sort());
  });
});

describe("what the linter refuses everywhere", () => {
  const refused = [
    ["noExplicitAny", "export const x: any = 1;\n"],
    ["noNonNullAssertion", "export const first = (list: number[]): number => list[0]!;\n"],
    ["noFloatingPromises", "async function work(): Promise<void> {}\nexport function go(): void {\n  work();\n}\n"],
    ["noImportCycles", 'import { b } from "./b.ts";\nexport const a: () => unknown = () => b;\n'],
  ] as const;

  it.each(refused)("%s", (rule, code) => {
    copyFileSync(`${root}biome.json`, `${fixture}biome.json`);
    write(".gitignore", "node_modules/\n");
    write("packages/host/src/a.ts", code);
    write("packages/host/src/b.ts", 'import { a } from "./a.ts";\nexport const b: () => unknown = () => a;\n');
    const { status, output } = run("biome", "lint", "packages/host/src/a.ts");
    expect(output).toContain(rule);
    expect(status).toBe(1);
  });
});
