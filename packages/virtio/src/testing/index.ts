/** For tests of drivers, devices and transports: yours and ours. */
export { BumpAllocator } from "./bump-allocator.ts";
export { ECHO_DEVICE_TYPE, ECHO_REQUIRED, ECHO_REVERSED, EchoDevice, type EchoOptions } from "./echo-device.ts";
export { VirtualClock } from "./virtual-clock.ts";
export { type ComplianceCase, type TransportUnderTest, transportCompliance } from "./transport-compliance.ts";
