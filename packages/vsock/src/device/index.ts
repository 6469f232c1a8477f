export type { GuestBytes, GuestStream, HostHandler, HostPortHandler } from "./api.ts";
