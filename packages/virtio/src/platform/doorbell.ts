/**
 * How one party wakes another, and what a loop may wait on.
 *
 * The rule that loses no wake-up, in every loop of this project: poll everything; when nothing was done, `arm`
 * everything; when an arm finds work, do not wait; else wait on the doorbell from the count that was read *before* the
 * arming.
 */

/** Wakes the loop that owns it. Cheap when the loop is awake. May be rung from any thread that has it. */
export interface Doorbell {
  ring(): void;
}

/** Something that a loop drives: a driver, a device, a bus end. */
export interface Pollable {
  /** Does what can be done now, within bounds, without waiting. Whether anything was done. */
  poll(): boolean;
  /**
   * Asks the peer to ring from now on, then looks once more. `true` means that work came in meanwhile: poll again, do
   * not wait. The next `poll` that does work takes the request back.
   */
  arm(): boolean;
}
