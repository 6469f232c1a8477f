import { shared } from "@toril/tooling-vitest";

// The peers are processes; on a busy machine they take their time.
export default shared({ test: { testTimeout: 60_000, hookTimeout: 60_000 } });
