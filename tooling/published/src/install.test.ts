import { expect, it } from "vitest";
import { importedPackages, surprises } from "./install.js";
import { type Packed, withNeeds } from "./pack.js";

const packed = (name: string, needs: string[], foreign: string[] = []): Packed => ({
  ...{ name, needs, foreign, folder: "", tarball: "", readme: "", imports: [name] },
});
const all = [packed("a", []), packed("b", ["a"]), packed("c", ["b"], ["koffi"]), packed("d", [])];

it("a package brings what it needs, and what that needs", () => {
  expect(withNeeds(["c"], all).map(({ name }) => name)).toEqual(["a", "b", "c"]);
  expect(withNeeds(["a", "d"], all).map(({ name }) => name)).toEqual(["a", "d"]);
});

it("sees what should not have come along, and what is missing", () => {
  expect(surprises(["a", "b"], ["b"], all)).toEqual([]);
  expect(surprises(["a", "b", "d"], ["b"], all)).toEqual(["d"]);
  expect(surprises(["b"], ["b"], all)).toEqual(["a"]);
  expect(surprises(["a", "b", "lodash"], ["b"], all)).toEqual(["lodash"]);
  expect(surprises(["a", "b", "c", "koffi", "node-addon-api"], ["c"], all)).toEqual([]);
});

it("finds the packages that an example imports", () => {
  const code =
    'import { a } from "@toril/memory/allocator";\nimport { b } from "@toril/memory";\nimport { c } from "node:fs";\nimport d from "fresh/x";\n';
  expect(importedPackages(code)).toEqual(["@toril/memory", "fresh"]);
});
