/**
 * Appliances under simulation, the same way each time: yours and ours. Reading order: simulation.ts (the world),
 * simulated-machine.ts, then what goes wrong: simulated-transport.ts, simulated-device.ts, simulated-files.ts.
 */
export { type DeviceHooks, SimulatedDevice } from "./simulated-device.ts";
export { type FileBehaviour, type FileFate, SimulatedFiles } from "./simulated-files.ts";
export { SimulatedMachine, type SimulatedMachineOptions } from "./simulated-machine.ts";
export { SimulatedTransport, type TransportBehaviour } from "./simulated-transport.ts";
export { type SimulatedLoop, Simulation, SimulationError, type SimulationOptions } from "./simulation.ts";
export { Trace } from "./trace.ts";
