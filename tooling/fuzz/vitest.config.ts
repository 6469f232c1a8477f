import { shared } from "@toril/tooling-vitest";

export default shared();
