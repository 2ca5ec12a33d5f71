import { createServer, type Server } from "node:http";
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
  readonly #server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      this.requests++;
      const { url = "", headers } = request;
      this.last = { url, authorization: headers.authorization ?? "", body: Buffer.concat(parts).toString() };
      const { status, type, pieces } = this.answer;
      response.writeHead(status, { "content-type": type });
      for (const piece of pieces) response.write(piece);
      response.end();
    });
  });

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
