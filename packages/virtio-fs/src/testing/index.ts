export { goldenBytes } from "./golden.ts";
