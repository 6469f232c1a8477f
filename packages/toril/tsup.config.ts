import { cpSync } from "node:fs";
import { library } from "@toril/tooling-build";

export default library(
  [
    "src/main.ts",
    "src/appliance-web.ts",
    "src/appliance-ping-pong.ts",
    "src/ping-pong-process.ts",
    "src/typescript-preload.ts",
  ],
  {
    // The apps are private and travel inside the command; everything they import stays a dependency of this package.
    noExternal: [/^@toril\/app-/],
    // C is compiled where it is wanted.
    onSuccess: async () => cpSync("../../apps/ping-pong/peers", "dist/peers", { recursive: true }),
    external: [/^@toril\/(?!app-)/],
  },
);
