// Lets this process and every worker thread it starts load TypeScript.
// Passed with `--import` (which workers inherit); on Node 20 `--import tsx` itself does not reach workers.
import { register } from "tsx/esm/api";

register();
