import type { IncomingMessage, Server, ServerResponse } from "node:http";

/** Serves a request whose body has been read. */
export type ServeBody = (body: Buffer) => void;

/**
 * Lets `take` have a server's requests before what listens already, Fastify, which gets all that are not taken. Limits of connections and
 * headers are the server's, and hold for both.
 * @param take returns whether it answers the request; it must not have touched one that it does not.
 */
export function interceptRequests(server: Server, take: (req: IncomingMessage, res: ServerResponse) => boolean): void {
  const listeners = server.listeners("request") as ((req: IncomingMessage, res: ServerResponse) => void)[];
  server.removeAllListeners("request");
  server.on("request", (req, res) => {
    if (take(req, res)) return;
    for (const listener of listeners) listener.call(server, req, res);
  });
}

/**
 * Reads a request's body.
 * @param onTooLarge instead of `onBody`, for one of more than `limitBytes`. A request that is cut gets neither.
 */
export function readBody(req: IncomingMessage, limitBytes: number, onBody: ServeBody, onTooLarge: () => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let refused = Number(req.headers["content-length"] ?? 0) > limitBytes;
  if (refused) onTooLarge();
  req.on("data", (part: Buffer) => {
    if (refused) return;
    bytes += part.length;
    if (bytes > limitBytes) {
      refused = true;
      onTooLarge();
    } else parts.push(part);
  });
  req.on("end", () => {
    if (refused) return;
    const [first, ...others] = parts;
    onBody(first !== undefined && others.length === 0 ? first : Buffer.concat(parts));
  });
  // a client that goes away is nobody to tell
  req.on("error", () => undefined);
}
