/** A TypeScript loader for programs on a Node that has none of its own; threads of the machine get the same. */
import { register } from "tsx/esm/api";

let registered = false;

/** Does nothing the second time, and where the process was started with a loader (in the repository) no harm. */
export function loadTypeScript(): void {
  if (registered) return;
  registered = true;
  register();
}
