/** Device types (virtio 1.3 §5): those this project has a driver or a device for. */
export const DeviceType = {
  Vsock: 19,
  FileSystem: 26,
} as const;

export type DeviceType = (typeof DeviceType)[keyof typeof DeviceType];
