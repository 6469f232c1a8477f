import { library } from "@toril/tooling-build";

export default library(["src/main.ts"]);
