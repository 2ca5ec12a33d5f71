import { jsonOf } from "./JsonText.ts";

/** One `data:` event of a stream in OpenAI's form. */
export function serverSentEvent(data: object): string {
  return `data: ${jsonOf(data)}\n\n`;
}

/** The last event of a stream that went well. */
export const DONE_EVENT = "data: [DONE]\n\n";
