import { z } from "zod";
import { OhttpError } from "./OhttpError.ts";

/** Sealed messages are padded to a multiple of this many bytes, so that their length says less. */
export const PADDING_BYTES = 512;

const responseSchema = z.object({ status: z.int().min(200).max(599), body: z.record(z.string(), z.unknown()) });

/** An answer as it is sealed. */
export interface InnerResponse {
  /** HTTP status. */
  status: number;
  /** JSON. */
  body: string;
}

/** A request's body as it is sealed: as it is, with blanks behind it. Readers of JSON skip them, and no receipt's hash covers them. */
export const padJson = (body: Uint8Array | string): Buffer => {
  const bytes = Buffer.from(body);
  return Buffer.concat([bytes, Buffer.alloc(missing(bytes.length), " ")]);
};

/** Events of a stream, filled up by a comment before them, so that no chunk's length tells the length of its word. */
export function padEvents(events: string): Buffer {
  const bytes = Buffer.from(events);
  // ":" and the line's end are two bytes themselves
  const blanks = missing(bytes.length + 2);
  return Buffer.concat([Buffer.from(`:${" ".repeat(blanks)}\n`), bytes]);
}

/** `{status, body}`: what OpenGradient's clients read, not RFC 9292. */
export const encodeInnerResponse = ({ status, body }: InnerResponse): Buffer =>
  padJson(`{"status":${status},"body":${body}}`);

/** @throws OhttpError malformed_response */
export function decodeInnerResponse(bytes: Uint8Array): InnerResponse {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    throw new OhttpError("malformed_response", "The sealed answer is not JSON");
  }
  const parsed = responseSchema.safeParse(value);
  if (!parsed.success) throw new OhttpError("malformed_response", "The sealed answer is not a status and a body");
  return { status: parsed.data.status, body: JSON.stringify(parsed.data.body) };
}

const missing = (length: number): number => (PADDING_BYTES - (length % PADDING_BYTES)) % PADDING_BYTES;
