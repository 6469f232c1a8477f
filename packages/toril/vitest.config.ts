import { shared } from "@toril/tooling-vitest";

// Most tests here start the real command, some with hundreds of clients; on a busy machine that takes its time.
export default shared({ test: { testTimeout: 60_000, hookTimeout: 60_000 } });
