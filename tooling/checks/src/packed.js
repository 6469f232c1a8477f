// Checks each package as its users get it: packs it, then looks at the tarball with publint and "are the types wrong".
// Needs built packages: `pnpm build` first.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "toril-packed-"));

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @returns whether it went well; prints what it said when not
 */
function passes(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status === 0) return true;
  console.error(`${command} ${args.join(" ")}\n${error?.message ?? ""}${stdout ?? ""}${stderr ?? ""}`);
  return false;
}

try {
  for (const name of readdirSync(packages).sort()) {
    const manifest = JSON.parse(readFileSync(join(packages, name, "package.json"), "utf8"));
    const tarball = join(scratch, `${name}.tgz`);
    // The types question is about imports: a package that is only a command has none.
    const checked =
      passes("pnpm", ["pack", "--out", tarball], join(packages, name)) &&
      passes("publint", ["--strict", tarball], scratch) &&
      (manifest.exports === undefined || passes("attw", [tarball, "--profile", "esm-only", "--no-emoji"], scratch));
    console.log(`${manifest.name}: ${checked ? "packed well" : "FAILED"}`);
    if (!checked) process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true });
}
