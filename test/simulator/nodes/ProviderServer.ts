import Fastify, { type FastifyReply } from "fastify";

interface Call {
  path: string;
  authorization: string | undefined;
  body: Record<string, unknown>;
}

const TOOL_CALL = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Köln"}' } };
const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };

/**
 * A model provider on this machine, speaking the wire formats of OpenAI's chat API and (not streamed) of Anthropic's. What it answers depends on the model
 * asked for: "talker" talks, "caller" calls a tool, "status-N" answers status N, "breaker" breaks off in the middle of a stream, "sleeper" waits for `wake`.
 */
export class ProviderServer {
  /** Requests for an answer, in order. */
  readonly calls: Call[] = [];
  readonly #server = Fastify({ forceCloseConnections: true });
  #wake = Promise.withResolvers<void>();

  async start(): Promise<void> {
    this.#server.get("/v1/models", () => ({ object: "list", data: [{ id: "talker" }, { id: "caller" }] }));
    this.#server.post("/v1/chat/completions", async (request, reply) => {
      const body = request.body as Record<string, unknown>;
      this.calls.push({ path: request.url, authorization: request.headers.authorization, body });
      return this.#chat(body, reply);
    });
    this.#server.post("/v1/messages", (request) => {
      const body = request.body as Record<string, unknown>;
      this.calls.push({ path: request.url, authorization: request.headers["x-api-key"] as string, body });
      return {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude-haiku-4-5-20251001",
        content: [{ type: "text", text: "Hello from the other API" }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: { input_tokens: 3, output_tokens: 5 },
      };
    });
    await this.#server.listen({ host: "127.0.0.1", port: 0 });
  }

  async stop(): Promise<void> {
    this.wake();
    await this.#server.close();
  }

  /** Base URL with the version. */
  get url(): string {
    const address = this.#server.server.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/v1`;
  }

  /** The last request. */
  get lastBody(): Record<string, unknown> {
    return this.calls.at(-1)?.body ?? {};
  }

  /** Lets "sleeper" answer. */
  wake(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  async #chat(body: Record<string, unknown>, reply: FastifyReply): Promise<unknown> {
    const model = String(body.model);
    const status = /^status-(\d+)$/.exec(model)?.[1];
    if (status !== undefined) {
      const error = { message: `secret-key caused status ${status}`, type: "invalid_request_error", code: null };
      return reply.code(Number(status)).send({ error });
    }
    if (model === "sleeper") await this.#wake.promise;
    const calls = model === "caller";
    if (body.stream === true) return reply.type("text/event-stream").send(streamed(model, calls));
    const message = calls
      ? { role: "assistant", content: null, tool_calls: [TOOL_CALL] }
      : { role: "assistant", content: "Grüße 🌍" };
    return {
      id: "up-1",
      object: "chat.completion",
      created: 1_700_000_000,
      model: `${model}-2026-01-01`,
      choices: [{ index: 0, message, finish_reason: calls ? "tool_calls" : "stop" }],
      usage: USAGE,
    };
  }
}

function streamed(model: string, calls: boolean): ReadableStream<Uint8Array> {
  const chunk = (delta: object, finishReason: string | null = null) => ({
    id: "up-1",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: `${model}-2026-01-01`,
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  });
  const call = (part: object) => chunk({ tool_calls: [{ index: 0, ...part }] });
  const deltas = calls
    ? [
        call({ id: TOOL_CALL.id, type: "function", function: { name: "weather", arguments: "" } }),
        call({ function: { arguments: '{"city": ' } }),
        call({ function: { arguments: '"Köln"}' } }),
      ]
    : [chunk({ role: "assistant", content: "" }), chunk({ content: "Grüße" }), chunk({ content: " 🌍" })];
  const end = [chunk({}, calls ? "tool_calls" : "stop"), { ...chunk({}), choices: [], usage: USAGE }];
  const events = model === "breaker" ? deltas : [...deltas, ...end];
  const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`);
  return ReadableStream.from(
    [...text, ...(model === "breaker" ? [] : ["data: [DONE]\n\n"])].map((t) => Buffer.from(t)),
  );
}
