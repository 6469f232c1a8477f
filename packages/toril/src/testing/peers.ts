/** Programs that are not ours and may be absent: `ab`, `curl`. */
import { spawnSync } from "node:child_process";
import { test } from "vitest";

/** With this set an absent peer is a failure, not a reason to skip: CI knows what it has installed. */
const REQUIRED = process.env["TORIL_REQUIRE_PEERS"] === "1";

/** `test`, or a skip that says why. */
export function testWith(program: string, versionFlag: string): (title: string, body: () => Promise<void>) => void {
  const present = spawnSync(program, [versionFlag]).error === undefined;
  return (title, body) => {
    if (present) return test(title, body);
    const absent = `${title} (${program} is not installed)`;
    if (!REQUIRED) return test.skip(absent, body);
    return test(absent, () => {
      throw new Error(`${program} is not installed, and TORIL_REQUIRE_PEERS is set`);
    });
  };
}

/** The long variants: 10,000 files up to 100 MB. */
export const FULL: boolean = process.env["TORIL_FULL"] === "1";
export const MACHINES: readonly ["inline", "dedicated"] = ["inline", "dedicated"];
