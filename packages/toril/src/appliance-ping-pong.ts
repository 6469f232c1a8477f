export { main, measure } from "@toril/app-ping-pong/ends";
