import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A server that keeps what it was sent, byte for byte, and answers what it is told. */
export class RawServer {
  answer: { status: number; type: string; pieces: readonly (string | Buffer)[] } = {
    status: 500,
    type: "",
    pieces: [],
  };
  /** The last request. */
  last = { url: "", authorization: "", body: "" };
  requests = 0;
  #gate: Promise<void> | undefined;
  #arrived = Promise.withResolvers<void>();
  readonly #server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => void this.#respond(request, response, parts));
  });

  /** Makes requests wait. @returns how to let them go on. */
  hold(): () => void {
    const gate = Promise.withResolvers<void>();
    this.#gate = gate.promise;
    this.#arrived = Promise.withResolvers<void>();
    return () => {
      this.#gate = undefined;
      gate.resolve();
    };
  }

  /** Resolves when a request waits. */
  held(): Promise<void> {
    return this.#arrived.promise;
  }

  async #respond(request: IncomingMessage, response: ServerResponse, parts: Buffer[]): Promise<void> {
    this.#arrived.resolve();
    await this.#gate;
    this.requests++;
    const { url = "", headers } = request;
    this.last = { url, authorization: headers.authorization ?? "", body: Buffer.concat(parts).toString() };
    const { status, type, pieces } = this.answer;
    response.writeHead(status, { "content-type": type });
    for (const piece of pieces) response.write(piece);
    response.end();
  }

  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** Base URL with the version. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }
}
