import { library } from "@toril/tooling-build";

export default library(["src/index.ts", "src/stream/index.ts", "src/testing/index.ts"]);
