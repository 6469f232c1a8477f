// one thread: socket calls -> driver -> rings -> device handler -> back
import { VirtualClock } from "@toril/virtio/testing";
import { HOST_CID, port } from "@toril/vsock";
import { createLoopback } from "@toril/vsock/testing";
import { SocketLayer } from "@toril/sockets";
const size = Number(process.argv[2] ?? 64), N = Number(process.argv[3] ?? 300000), path = process.argv[4] ?? "one-copy", mode = process.argv[5] ?? "rtt";
const clock = { now: () => performance.now(), after: (ms, cb) => { const t = setTimeout(cb, ms); return { cancel: () => clearTimeout(t) }; } };
const { device, host, driver, heap } = await createLoopback({ clock, memory: 64 << 20, driver: { txPath: path } });
device.listen(port(7), (stream) => {
  let waiting;
  return { data(c) { const n = stream.write(c.bytes); if (n < c.bytes.length) throw new Error("short"); c.release(); }, end() { stream.end(); }, drain() {}, closed() {} };
});
let sunk = 0;
device.listen(port(8), () => ({ data(c) { sunk += c.bytes.length; c.release(); }, end() {}, drain() {}, closed() {} }));
const layer = new SocketLayer({ driver, clock });
const net = layer.callsFor();
const settle = () => { for (let i = 0; i < 100; i++) { driver.poll(); host.poll(); } };
const s = net.socket();
const p = net.connect(s, { cid: HOST_CID, port: mode === "rtt" ? 7 : 8 }); settle(); await p;
net.setOption(s, "noDelay", true);
const msg = new Uint8Array(size).fill(7), into = new Uint8Array(Math.max(size, 64));
const buf = heap.allocateDma(size); 
const send = () => (path === "zero-copy" ? net.trySendBuffer(s, buf, 0, size) : net.trySend(s, msg));
function round(n) {
  const t0 = performance.now();
  if (mode === "rtt") {
    for (let i = 0; i < n; i++) {
      for (let sent = 0; sent < size; ) {
        const c = path === "zero-copy" ? net.trySendBuffer(s, buf, sent, size - sent) : net.trySend(s, sent === 0 ? msg : msg.subarray(sent));
        if (c > 0) sent += c; else { host.poll(); driver.poll(); }
      }
      for (let left = size; left > 0; ) {
        host.poll(); driver.poll();
        const r = net.tryRecv(s, into);
        if (r > 0) left -= r;
      }
    }
  } else {
    for (let i = 0; i < n; i++) {
      for (let sent = 0; sent < size; ) {
        const c = path === "zero-copy" ? net.trySendBuffer(s, buf, sent, size - sent) : net.trySend(s, sent === 0 ? msg : msg.subarray(sent));
        if (c > 0) sent += c; else { host.poll(); driver.poll(); }
      }
    }
  }
  return (performance.now() - t0) * 1000 / n;
}
round(N / 4);
const rs = []; for (let k = 0; k < 7; k++) rs.push(round(N));
rs.sort((a, b) => a - b);
console.log(`${mode} ${path} ${size} B: median ${rs[3].toFixed(3)} us, best ${rs[0].toFixed(3)}, worst ${rs[6].toFixed(3)}; ${(size / rs[3] / 1000).toFixed(2)} GB/s; packets/msg tx ${(driver.stats.txPackets / (N * 7.25)).toFixed(2)} rx ${(driver.stats.rxPackets / (N * 7.25)).toFixed(2)}`);
process.exit(0);
