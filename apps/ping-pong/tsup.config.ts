import { library } from "@toril/tooling-build";

export default library(["src/index.ts", "src/ends.ts", "src/process.ts"]);
