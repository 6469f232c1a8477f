/**
 * The host's side in Node. Reading order: directory/linux-path.ts (why a directory cannot be escaped), directory/root.ts,
 * directory/node-table.ts, directory/host-directory.ts.
 */
export { HostDirectory, type HostDirectoryOptions } from "./directory/host-directory.ts";
export { HostDirectoryError } from "./directory/host-directory-error.ts";
