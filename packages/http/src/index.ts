/**
 * A small, strict HTTP/1.1 server over the socket calls. Reading order: environment.ts and body.ts (what one gives it),
 * server.ts, connection.ts; then parser.ts with framing.ts and chunked.ts (what comes in), responder.ts, head-builder.ts and
 * output.ts (what goes out).
 */
export type { FieldValue, HttpResponse, LentBody, LentPiece, PreparedFields, ResponseBody } from "./body.ts";
export { formatHttpDate, parseHttpDate } from "./date.ts";
export type { AccessEntry, HttpEnvironment, HttpHandler, HttpServerOptions } from "./environment.ts";
export { HttpError } from "./failure.ts";
export { SERVER_LIMITS, type ParserLimits, type ServerLimits } from "./limits.ts";
export { prepareFields } from "./prepared-fields.ts";
export type { HttpRequest, PeerAddress, RequestBody } from "./request.ts";
export { HttpServer } from "./server.ts";
export type { HttpStats } from "./stats.ts";
export { reasonPhrase } from "./status.ts";
