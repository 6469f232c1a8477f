/** Numbers and sizes as people read them. */

/** Three digits that mean something. */
export function formatNumber(value: number): string {
  if (value === 0) return "0";
  if (value < 0.005) return "<0.01";
  if (value < 10) return value.toFixed(2);
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

export function formatSize(bytes: number): string {
  if (bytes >= 2 ** 20 && bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20} MiB`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024} KiB`;
  return `${bytes} B`;
}
