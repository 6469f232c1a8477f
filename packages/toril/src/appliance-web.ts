export { main } from "@toril/app-web-appliance";
