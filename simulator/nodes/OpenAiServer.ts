import { type Dispatcher, Pool } from "undici";

import type { Cancellable, Cancellation } from "./Cancellation.ts";
import { NodeError } from "./NodeError.ts";

export interface OpenAiServerOptions {
  /** Including the version, e.g. "http://127.0.0.1:8000/v1". */
  baseUrl: string;
  /** Sent as a bearer token. */
  apiKey?: string;
  /** Most connections, and so requests, at once. Default 256. */
  connections?: number;
  /** The largest answer that is taken. Default 16 MiB. */
  maxAnswerBytes?: number;
}

/** How a server answered. */
export interface OpenAiResponse {
  status: number;
  contentType: string;
  body: Buffer;
}

const DEFAULT_CONNECTIONS = 256;
const DEFAULT_MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** A server that speaks OpenAI's HTTP API: vLLM, llama.cpp, Ollama, OpenAI's own. */
export class OpenAiServer {
  readonly #pool: Pool;
  readonly #prefix: string;
  readonly #headers: Record<string, string>;
  readonly #maxAnswerBytes: number;

  constructor({ baseUrl, apiKey, connections, maxAnswerBytes }: OpenAiServerOptions) {
    const url = new URL(baseUrl);
    this.#pool = new Pool(url.origin, {
      connections: connections ?? DEFAULT_CONNECTIONS,
      // the node bounds the whole inference
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#prefix = url.pathname.replace(/\/+$/, "");
    this.#maxAnswerBytes = maxAnswerBytes ?? DEFAULT_MAX_ANSWER_BYTES;
    this.#headers = {
      "content-type": "application/json",
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
  }

  /**
   * Sends a request as it is.
   * @param path after the version, e.g. "/chat/completions".
   * @param onData gets the pieces of a good event stream instead of `body`.
   * @throws NodeError 502 when there is no whole answer.
   */
  post(
    path: string,
    body: Uint8Array | string,
    cancellation: Cancellation,
    onData?: (piece: Buffer) => void,
  ): Promise<OpenAiResponse> {
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(this.#maxAnswerBytes, onData, resolve, reject);
      cancellation.tell(exchange);
      this.#pool.dispatch({ path: this.#prefix + path, method: "POST", headers: this.#headers, body }, exchange);
    });
  }

  /** Ends what is under way, and the connections. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** One request, in undici's own terms: its `request` costs three times as much. */
class Exchange implements Dispatcher.DispatchHandler, Cancellable {
  readonly #maxBytes: number;
  readonly #onData: ((piece: Buffer) => void) | undefined;
  readonly #resolve: (response: OpenAiResponse) => void;
  readonly #reject: (error: unknown) => void;
  readonly #parts: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #aborted: Error | undefined;
  #bytes = 0;
  #status = 0;
  #contentType = "";
  #streams = false;

  constructor(
    maxBytes: number,
    onData: ((piece: Buffer) => void) | undefined,
    resolve: (response: OpenAiResponse) => void,
    reject: (error: unknown) => void,
  ) {
    this.#maxBytes = maxBytes;
    this.#onData = onData;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  abort(reason: Error): void {
    this.#aborted = reason;
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted !== undefined) controller.abort(this.#aborted);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status;
    this.#contentType = String(headers["content-type"] ?? "");
    this.#streams = status === 200 && this.#contentType.startsWith("text/event-stream");
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) {
      controller.abort(new NodeError(502, "upstream_error", "the model's answer is too large; nothing was charged"));
    } else if (this.#streams && this.#onData !== undefined) {
      try {
        this.#onData(piece);
      } catch (error) {
        controller.abort(error as Error);
      }
    } else {
      this.#parts.push(piece);
    }
  }

  onResponseEnd(): void {
    const [first, ...others] = this.#parts;
    const body = first !== undefined && others.length === 0 ? first : Buffer.concat(this.#parts);
    this.#resolve({ status: this.#status, contentType: this.#contentType, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#reject(
      error instanceof NodeError || error === this.#aborted
        ? error
        : new NodeError(502, "upstream_unreachable", "the model's server cannot be reached; nothing was charged", {
            cause: error,
          }),
    );
  }
}
