export type * from "./calls.ts";
export type { Socket } from "./socket.ts";
