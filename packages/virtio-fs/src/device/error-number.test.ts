import { Errno, SystemError } from "@toril/virtio/platform";
import { expect, test } from "vitest";
import { errorNumber } from "./error-number.ts";

test.each([
  ["a system call's error", new SystemError(Errno.EROFS, "open"), Errno.EROFS],
  ["an error of Node's", Object.assign(new Error(), { code: "ENOSPC" }), Errno.ENOSPC],
  ["Node's other name for EOPNOTSUPP", Object.assign(new Error(), { code: "ENOTSUP" }), Errno.EOPNOTSUPP],
  ["a bug", new TypeError("x is not a function"), undefined],
  ["a code that is no errno", Object.assign(new Error(), { code: "ERR_INVALID_ARG_TYPE" }), undefined],
  ["a number that Linux would drop", new SystemError(512, "read"), undefined],
  ["no error at all", "ENOENT", undefined],
])("%s", (_, thrown, errno) => {
  expect(errorNumber(thrown)).toBe(errno);
});
