import { VerificationError } from "./ClientError.ts";

/** A stream that breaks off brought no answer; one that nobody reads on may bring one, unseen. */
export async function* noticingEnd(
  body: ReadableStream<Uint8Array>,
  onBreak: () => void,
  onLeft: () => void,
): AsyncGenerator<Uint8Array, void> {
  let ended = false;
  try {
    yield* body;
    ended = true;
  } catch (error) {
    ended = true;
    onBreak();
    throw error;
  } finally {
    if (!ended) onLeft();
  }
}

export const isStream = ({ ok, headers }: Response): boolean =>
  ok && (headers.get("content-type") ?? "").startsWith("text/event-stream");

export async function readWhole(response: Response): Promise<Response> {
  const bytes = await response.arrayBuffer();
  const headers = new Headers(response.headers);
  // fetch has undone the encoding these describe
  headers.delete("content-encoding");
  headers.delete("content-length");
  return new Response(bytes, { status: response.status, statusText: response.statusText, headers });
}

/** @throws VerificationError unreadable_answer */
export function parseAnswer(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // refused below
  }
  throw new VerificationError("unreadable_answer", "The answer is not a JSON object");
}
