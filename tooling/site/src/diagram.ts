/** The path of a request, drawn: three bands (host, guest memory, guest) and the ten steps between them. */

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly title: string;
  readonly note: string;
  readonly kind: "outside" | "device" | "ring" | "driver" | "app";
}

const HEIGHT = 62;
const ROW = { host: 64, memory: 208, guest: 352 };
const LEFT = 40;
const WIDTH = 960;

const boxes: readonly Box[] = [
  { x: LEFT, y: ROW.host, width: 120, title: "Browser", note: "HTTP over TCP", kind: "outside" },
  { x: 200, y: ROW.host, width: 130, title: "TCP bridge", note: "@toril/host", kind: "device" },
  { x: 370, y: ROW.host, width: 140, title: "vsock device", note: "@toril/vsock/device", kind: "device" },
  { x: 590, y: ROW.host, width: 170, title: "virtio-fs device", note: "@toril/virtio-fs/device", kind: "device" },
  { x: 800, y: ROW.host, width: 140, title: "Your directory", note: "confined, read-only", kind: "outside" },
  { x: 330, y: ROW.memory, width: 220, title: "rx · tx · event queues", note: "split virtqueues", kind: "ring" },
  { x: 590, y: ROW.memory, width: 210, title: "hiprio · requests", note: "split virtqueues", kind: "ring" },
  {
    x: LEFT,
    y: ROW.guest,
    width: 270,
    title: "Web appliance",
    note: "@toril/http, any program will do",
    kind: "app",
  },
  {
    x: 370,
    y: ROW.guest,
    width: 180,
    title: "vsock driver",
    note: "socket calls, credit",
    kind: "driver",
  },
  {
    x: 590,
    y: ROW.guest,
    width: 210,
    title: "virtio-fs driver",
    note: "file calls, FUSE, cache",
    kind: "driver",
  },
];

const arrows: readonly [number, number, number, number][] = [
  [160, ROW.host + 31, 200, ROW.host + 31],
  [330, ROW.host + 31, 370, ROW.host + 31],
  [440, ROW.host + HEIGHT, 440, ROW.memory],
  [440, ROW.memory + HEIGHT, 440, ROW.guest],
  [370, ROW.guest + 31, 310, ROW.guest + 31],
  [695, ROW.memory + HEIGHT, 695, ROW.guest],
  [695, ROW.host + HEIGHT, 695, ROW.memory],
  [760, ROW.host + 31, 800, ROW.host + 31],
];

/** @returns an SVG element whose colours come from the page's style sheet. */
export function requestPathDiagram(): string {
  const bands = [
    band(24, "HOST", "band-host"),
    band(168, "GUEST MEMORY — the only thing both sides share", "band-memory"),
    band(312, "GUEST — one core, one kernel, one application", "band-guest"),
  ];
  return `<svg class="path" viewBox="0 0 ${WIDTH + 20} 452" role="img" aria-label="The path of a request from the browser through the TCP bridge, the vsock device and its virtqueues to the web appliance, and on through the virtio-fs driver, its virtqueues and the virtio-fs device to the directory">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>
${bands.join("\n")}
${arrows.map(arrow).join("\n")}
<path class="flow" d="M310 ${ROW.guest + 50} C 440 ${ROW.guest + 96} 560 ${ROW.guest + 96} 640 ${ROW.guest + HEIGHT + 3}" marker-start="url(#head)" marker-end="url(#head)"/>
${boxes.map(box).join("\n")}
</svg>`;
}

function band(y: number, label: string, kind: string): string {
  return `<rect class="band ${kind}" x="10" y="${y}" width="${WIDTH}" height="${kind === "band-guest" ? 130 : 128}" rx="10"/><text class="band-label" x="26" y="${y + 22}">${label}</text>`;
}

function arrow([x1, y1, x2, y2]: readonly [number, number, number, number]): string {
  return `<line class="flow" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" marker-start="url(#head)" marker-end="url(#head)"/>`;
}

function box({ x, y, width, title, note, kind }: Box): string {
  const middle = x + width / 2;
  return `<g class="box ${kind}"><rect x="${x}" y="${y}" width="${width}" height="${HEIGHT}" rx="8"/><text class="box-title" x="${middle}" y="${y + 27}">${title}</text><text class="box-note" x="${middle}" y="${y + 46}">${note}</text></g>`;
}
