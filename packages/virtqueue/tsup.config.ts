import { library } from "@toril/tooling-build";

export default library(["src/index.ts", "src/testing/index.ts"]);
