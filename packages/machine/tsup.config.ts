import { library } from "@toril/tooling-build";

export default library({
  index: "src/index.ts",
  "testing/index": "src/testing/index.ts",
  "core-worker": "src/dedicated/core-worker.ts",
  "device-worker": "src/dedicated/device-worker.ts",
});
