import { expect, test } from "vitest";
import { consoleLog } from "./console-log.ts";

const now = (): number => Date.UTC(2026, 0, 2, 3, 4, 5, 678);

test("one line a message, with its fields", () => {
  const lines: string[] = [];
  const log = consoleLog({ write: (line) => lines.push(line), now });
  log.info("served", { path: "/index.html", status: 200, cached: true, none: undefined });
  log.warn("it is late", { reason: "two words" });
  expect(lines).toEqual([
    "03:04:05.678 info  served path=/index.html status=200 cached=true\n",
    '03:04:05.678 warn  it is late reason="two words"\n',
  ]);
});

test("messages below the level are not shown", () => {
  const lines: string[] = [];
  const log = consoleLog({ level: "warn", write: (line) => lines.push(line), now });
  log.debug("a");
  log.info("b");
  log.error("c");
  expect(lines).toEqual(["03:04:05.678 error c\n"]);
});

test("a value cannot forge a line or move the cursor", () => {
  const lines: string[] = [];
  const log = consoleLog({ write: (line) => lines.push(line), now });
  log.info("a\nb", { value: "x\n03:04:05 error \u001b[2J\u009b" });
  expect(lines[0]?.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u009b]/);
  expect(lines[0]).toMatch('a\\u000ab value="x\\n03:04:05 error \\u001b[2J\\u009b"');
});
