import type { OutgoingRequest } from "./OutgoingRequest.ts";

/** Requests that cost the same at the same place: the gateway, the route, the model, and the enclave if one is named. */
export function targetOf({ url, body, headers }: OutgoingRequest): string {
  const { origin, pathname } = new URL(url);
  return JSON.stringify([origin, pathname, headers.get("x-og-model") ?? modelOf(body), headers.get("x-tee-id")]);
}

function modelOf(body: Buffer): unknown {
  try {
    return (JSON.parse(body.toString("utf8")) as { model?: unknown }).model;
  } catch {
    return undefined;
  }
}
