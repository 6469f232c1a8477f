export type * from "./file-calls.ts";
export type { File } from "./driver/file.ts";
