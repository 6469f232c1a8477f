import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.js";

/**
 * @typedef {object} Packed one package of ours, packed
 * @property {string} name as in an import
 * @property {string} folder where its sources are
 * @property {string} tarball
 * @property {string} readme its text
 * @property {string[]} imports what can be imported: "@toril/vsock", "@toril/vsock/device"; none for a mere command
 * @property {string[]} needs the packages of ours that it depends on itself
 * @property {string[]} foreign the others'
 */

/**
 * Packs every package below `packages`, as for publishing.
 * @param {string} packages
 * @param {string} target a folder for the tarballs
 * @returns {Packed[]} by name
 */
export function packAll(packages, target) {
  const folders = readdirSync(packages).filter((name) => existsSync(join(packages, name, "package.json")));
  const all = folders.map((name) => {
    const folder = join(packages, name);
    const tarball = join(target, `${name}.tgz`);
    run(["pnpm", "pack", "--out", tarball], folder);
    // The manifest in the tarball is the one that counts: pnpm has replaced "workspace:*" and "catalog:" in it.
    const manifest = JSON.parse(run(["tar", "-xzOf", tarball, "package/package.json"], target));
    const dependencies = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
    return { folder, tarball, manifest, dependencies };
  });
  const ours = new Set(all.map(({ manifest }) => manifest.name));
  return all
    .map(({ folder, tarball, manifest, dependencies }) => ({
      name: manifest.name,
      folder,
      tarball,
      readme: readFileSync(join(folder, "README.md"), "utf8"),
      imports: Object.keys(manifest.exports ?? {}).map((path) => manifest.name + path.slice(1)),
      needs: dependencies.filter((name) => ours.has(name)),
      foreign: dependencies.filter((name) => !ours.has(name)),
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/**
 * The package and all of ours that it brings along.
 * @param {string[]} names
 * @param {Packed[]} all
 * @returns {Packed[]}
 */
export function withNeeds(names, all) {
  const found = new Set(names);
  // A Set that grows is walked to its new end.
  for (const name of found) for (const need of all.find((one) => one.name === name)?.needs ?? []) found.add(need);
  return all.filter(({ name }) => found.has(name));
}
