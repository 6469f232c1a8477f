import { expect, test } from "vitest";
import { formatStats } from "./stats-table.ts";

test("counters are grouped by part, nested ones keep their path", () => {
  const text = formatStats({
    kind: "inline",
    uptimeMs: 1500,
    parts: { "vsock driver": { txPackets: 12345, txCopied: { header: 44 }, ringFullMs: 0.5 } },
  });
  expect(text).toBe(
    "inline machine, up 1.5 s\n\nvsock driver\n  tx packets          12,345\n  tx copied: header   44\n  ring full ms        0.500\n"
      .replace(/header {3}/, "header  ")
      .replace("tx packets          ", "tx packets         ")
      .replace("ring full ms        ", "ring full ms       "),
  );
});
