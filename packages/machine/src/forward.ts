/** A TCP port of the host, led to a port of the guest: on the thread that polls the vsock device. */
import { TcpForward } from "@toril/host";
import type { Log } from "@toril/virtio/platform";
import type { VsockDevice } from "@toril/vsock/device";
import type { Forward, ForwardOptions } from "./machine.ts";

/** @throws BridgeError EADDRINUSE and the like, with one line that says what to do */
export async function openForward(
  device: VsockDevice,
  options: ForwardOptions,
  log: Log,
): Promise<{ readonly forward: TcpForward; readonly face: Forward }> {
  const { host, port, guestPort, maxConnections } = options;
  const forward = await TcpForward.start({
    device,
    listen: host === undefined ? { port } : { host, port },
    guestPort,
    log,
    ...(maxConnections === undefined ? {} : { maxConnections }),
  });
  const close = (): Promise<void> => forward.close({ graceMs: Number.POSITIVE_INFINITY });
  return { forward, face: { ...forward.address, guestPort, close } };
}
