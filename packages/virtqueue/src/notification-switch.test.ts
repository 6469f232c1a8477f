import { describe, expect, it } from "vitest";
import { NotificationSwitch } from "./notification-switch.ts";

function recorded(eventIdx: boolean) {
  const stores: string[] = [];
  const fields = {
    storeFlags: (flags: number) => stores.push(`flags ${flags}`),
    storeEvent: (index: number) => stores.push(`event ${index}`),
  };
  return { stores, notifications: new NotificationSwitch(fields, eventIdx, 0) };
}

describe("§2.7.7, §2.7.10: asking to be notified, or not", () => {
  it("without EVENT_IDX: flags 0 or 1, stored when they change", () => {
    const { stores, notifications } = recorded(false);
    notifications.suppress(0);
    notifications.suppress(5);
    notifications.arm(7);
    notifications.suppress(7);
    expect(stores).toEqual(["flags 1", "flags 0", "flags 1"]);
  });

  it("with EVENT_IDX: never flags; the next entry, or the one before it, which is a whole round away", () => {
    const { stores, notifications } = recorded(true);
    notifications.suppress(0); // a fresh ring names entry 0
    notifications.arm(3);
    notifications.suppress(3);
    notifications.arm(65_535);
    notifications.suppress(65_535);
    expect(stores).toEqual(["event 65535", "event 3", "event 2", "event 65535", "event 65534"]);
  });

  it("with EVENT_IDX: an event that lies behind is left alone", () => {
    const { stores, notifications } = recorded(true);
    notifications.arm(3);
    notifications.suppress(4);
    expect(stores).toEqual(["event 3"]);
  });

  it("arming again names the entry that is next by then", () => {
    const { stores, notifications } = recorded(true);
    notifications.arm(3);
    notifications.arm(5);
    notifications.reset();
    notifications.suppress(0);
    expect(stores).toEqual(["event 3", "event 5", "event 65535"]);
  });
});
