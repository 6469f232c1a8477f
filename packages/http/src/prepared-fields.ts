/** Fields that many responses have in common. */
import { type FieldValue, PreparedFields } from "./body.ts";
import { HeadBuilder, OURS } from "./head-builder.ts";

/**
 * Fields for `HttpResponse.headers`, of responses that are made again and again.
 * @throws TypeError for a name or a value that HTTP cannot carry, and for the fields that belong to one response: Date,
 *   Content-Length, Transfer-Encoding, Connection
 */
export function prepareFields(fields: Readonly<Record<string, FieldValue>>): PreparedFields {
  const builder = new HeadBuilder(512);
  for (const name in fields) {
    if (OURS.has(name.toLowerCase())) throw new TypeError(`${name} cannot be prepared: it belongs to one response`);
    builder.field(name, fields[name], { kind: "none" });
  }
  return new PreparedFields(builder.bytes.slice(0, builder.length));
}
