import { statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

/**
 * @param {string} project where it is installed
 * @param {string} path what is imported, such as "@toril/vsock/device"
 * @returns the size of everything it brings along, bundled, minified and gzipped, in bytes
 */
export function bundleSize(project, path) {
  const { outputFiles } = buildSync({
    stdin: { contents: `export * from "${path}";`, resolveDir: project },
    ...{ bundle: true, minify: true, write: false, format: "esm", platform: "node", target: "node20" },
    // A native module that is optional.
    external: ["koffi"],
  });
  return gzipSync(outputFiles[0]?.contents ?? "").length;
}

/** @param {string} file */
export const fileSize = (file) => statSync(file).size;

/** @param {number} bytes */
export const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
