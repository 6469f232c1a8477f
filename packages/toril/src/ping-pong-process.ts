import "@toril/app-ping-pong/process";
