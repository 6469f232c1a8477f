// Makes the API documentation of every public entry of every package into .api at the root. Any warning is a failure: a
// link that leads nowhere, a public type that nobody can import.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Application, ReflectionKind } from "typedoc";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Each public entry, by what a user imports: "@toril/vsock/device" is packages/vsock/src/device/index.ts. */
const entries = new Map(
  readdirSync(`${root}packages`).flatMap((folder) => {
    const manifestFile = `${root}packages/${folder}/package.json`;
    if (!existsSync(manifestFile)) return [];
    const { name, exports = {} } = JSON.parse(readFileSync(manifestFile, "utf8"));
    return Object.entries(exports).map(([path, conditions]) => [
      `${root}packages/${folder}/${conditions["@toril/source"].slice(2)}`,
      name + path.slice(1),
    ]);
  }),
);

const app = await Application.bootstrap({
  name: "Toril",
  entryPoints: [...entries.keys()],
  tsconfig: fileURLToPath(new URL("../tsconfig.api.json", import.meta.url)),
  readme: fileURLToPath(new URL("../README.md", import.meta.url)),
  // What our classes inherit from Node is documented there.
  externalSymbolLinkMappings: { "@types/node": { "*": "https://nodejs.org/docs/latest-v20.x/api/stream.html" } },
  excludePrivate: true,
  excludeInternal: true,
  disableGit: true,
  sourceLinkTemplate: "{path}#L{line}",
  sort: ["source-order"],
  navigation: { includeFolders: false },
});

const project = await app.convert();
if (project !== undefined) {
  for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
    const file = module.isDeclaration() ? module.sources?.[0]?.fullFileName : undefined;
    const name = entries.get(file ?? "");
    if (name !== undefined) module.name = name;
  }
  app.validate(project);
  await app.generateDocs(project, `${root}.api`);
}
const { errorCount, warningCount } = app.logger;
console.log(`${entries.size} entries; ${errorCount} errors, ${warningCount} warnings; see .api/index.html`);
if (project === undefined || errorCount + warningCount > 0) process.exitCode = 1;
