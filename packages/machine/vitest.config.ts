import { shared } from "@toril/tooling-vitest";

// Each test boots threads; on two busy processors that takes seconds.
export default shared({ test: { testTimeout: 30_000 } });
