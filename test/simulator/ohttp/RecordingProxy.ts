import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** Passes TCP connections on to a server on this machine, and keeps every byte of both directions. */
export class RecordingProxy {
  readonly #server = createServer((client) => this.#join(client));
  readonly #sockets = new Set<Socket>();
  readonly #target: () => number;
  #bytes: Buffer[] = [];

  /** @param target asked for the port at each connection. */
  constructor(target: () => number) {
    this.#target = target;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All that went by so far. */
  get seen(): Buffer {
    return Buffer.concat(this.#bytes);
  }

  forget(): void {
    this.#bytes = [];
  }

  #join(client: Socket): void {
    const server = connect(this.#target(), "127.0.0.1");
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("data", (bytes: Buffer) => this.#bytes.push(bytes));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }
}
