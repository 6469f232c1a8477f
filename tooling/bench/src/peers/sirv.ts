/** sirv as its README has it for production: the directory is scanned once, files are streamed. */
import { createServer } from "node:http";
import sirv from "sirv";
import { announce, directory } from "./peer.ts";

announce(createServer(sirv(directory)));
