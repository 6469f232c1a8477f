export { deviceThread, experiment, main, measure } from "@toril/app-ping-pong/ends";
