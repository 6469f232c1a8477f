/** What threads of a machine load by name: the guest's program, and the host's end beside the vsock device. */
export { type GuestArgs, main } from "./guest.ts";
export { type HostJob, measure } from "./host-end.ts";
