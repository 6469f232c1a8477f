/** How the page looks, in light and in dark. The colours of paths and stages can be told apart by those who see few. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fdfdfc; --ink: #1b1f24; --soft: #59636e; --line: #d5d9de; --faint: #eceef0; --panel: #ffffff;
  --two: #c2410c; --one: #2563eb; --zero: #047857; --node: #8a8f98; --c: #a58a5f;
  --p1: #2563eb; --p2: #93b4f5; --p3: #b9c0c9; --p4: #047857; --p5: #7cc7a8; --p6: #d5d9de; --p7: #c2410c; --p8: #f0a57c;
  --good: #047857; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111418; --ink: #e8eaed; --soft: #a3abb5; --line: #3a414a; --faint: #242a31; --panel: #171b20;
    --two: #fb923c; --one: #7aa7ff; --zero: #4ade9c; --node: #868e98; --c: #b79d72;
    --p1: #7aa7ff; --p2: #38588f; --p3: #4a525c; --p4: #4ade9c; --p5: #27724f; --p6: #353c45; --p7: #fb923c; --p8: #93521f;
    --good: #4ade9c; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1400px; margin: 0 auto; padding: 40px 28px 80px; }
h1 { font-size: 32px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 22px; margin: 52px 0 6px; letter-spacing: -0.01em; }
p { max-width: 76ch; margin: 6px 0 14px; }
.meta { color: var(--soft); }
.warning { border-left: 4px solid var(--bad); padding: 6px 14px; background: var(--faint); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(560px, 100%), 1fr)); gap: 22px; margin-top: 14px; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 14px 14px 6px; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg .title { font-size: 16px; font-weight: 650; fill: var(--ink); }
svg .tick { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .label { font-size: 12.5px; fill: var(--soft); }
svg .name { font-size: 12px; fill: var(--ink); }
svg .total { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--faint); } svg .grid.major { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
.series polyline { fill: none; stroke: currentColor; stroke-width: 2.6; stroke-linejoin: round; }
.series circle { fill: currentColor; }
.series .band { fill: currentColor; opacity: 0.13; stroke: none; }
.series .leader { stroke: currentColor; stroke-width: 0.8; opacity: 0.55; }
.series .name { fill: currentColor; font-weight: 600; }
.two-copy { color: var(--two); } .one-copy { color: var(--one); } .zero-copy { color: var(--zero); }
.peer { color: var(--node); } .peer.c { color: var(--c); }
.peer polyline { stroke-width: 1.3; } .peer.c polyline { stroke-dasharray: 5 3; } .peer circle { r: 1.8px; }
.peer .band { opacity: 0; } .peer .name { font-weight: 400; }
.part { stroke: var(--panel); stroke-width: 0.7; }
.p1 { fill: var(--p1); } .p2 { fill: var(--p2); } .p3 { fill: var(--p3); } .p4 { fill: var(--p4); }
.p5 { fill: var(--p5); } .p6 { fill: var(--p6); } .p7 { fill: var(--p7); } .p8 { fill: var(--p8); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 10px 0 0; padding: 0; list-style: none; font-size: 14px; color: var(--soft); }
.legend svg { display: inline-block; width: 14px; height: 14px; margin-right: 7px; vertical-align: -2px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); margin-top: 12px; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; border-bottom-color: var(--line); }
td.good { color: var(--good); } td.bad { color: var(--bad); }
summary { cursor: pointer; color: var(--soft); margin-top: 14px; }
@media print { main { padding: 0; } figure { break-inside: avoid; } }
`;
