import Fastify, { type FastifyReply } from "fastify";
import { z } from "zod";

const requestSchema = z.looseObject({
  model: z.string(),
  stream: z.boolean().optional(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string().nullish() })).min(1),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }) })).optional(),
  response_format: z
    .looseObject({
      type: z.string(),
      json_schema: z
        .looseObject({ schema: z.looseObject({ properties: z.record(z.string(), z.unknown()) }) })
        .optional(),
    })
    .optional(),
});
type ChatRequest = z.infer<typeof requestSchema>;

interface Reply {
  content: string | null;
  call?: { name: string; arguments: string };
}

/** Tokens are words here. */
const tokens = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;

/**
 * A server of OpenAI's chat API with one model, "parrot": offered tools it calls the first, told a tool's result it says it, asked for
 * a schema it fills it in, and otherwise repeats the last message. It counts words as tokens.
 */
export class ModelServer {
  readonly #server = Fastify({ forceCloseConnections: true });

  async start(): Promise<void> {
    this.#server.get("/v1/models", () => ({ object: "list", data: [{ id: "parrot" }] }));
    this.#server.post("/v1/chat/completions", (request, reply) => answer(requestSchema.parse(request.body), reply));
    await this.#server.listen({ host: "127.0.0.1", port: 0 });
  }

  stop(): Promise<void> {
    return this.#server.close();
  }

  /** Base URL with the version. */
  get url(): string {
    const address = this.#server.server.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/v1`;
  }
}

function replyTo({ messages, tools, response_format: format }: ChatRequest): Reply {
  const last = messages.at(-1);
  const said = last?.content ?? "";
  if (last?.role === "tool") return { content: `The tool says: ${said}` };
  const [tool] = tools ?? [];
  if (tool !== undefined) {
    return { content: null, call: { name: tool.function.name, arguments: JSON.stringify({ city: said }) } };
  }
  if (format?.type === "json_schema") {
    const names = Object.keys(format.json_schema?.schema.properties ?? {});
    return { content: JSON.stringify(Object.fromEntries(names.map((name) => [name, said]))) };
  }
  return { content: said };
}

function answer(request: ChatRequest, reply: FastifyReply): unknown {
  const { content, call } = replyTo(request);
  const prompt = request.messages.reduce((sum, message) => sum + tokens(message.content ?? ""), 0);
  const completion = tokens(content ?? call?.arguments ?? "");
  const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  const head = { id: "up-1", created: 1_700_000_000, model: request.model };
  const reason = call === undefined ? "stop" : "tool_calls";
  const calls = call && [{ id: "call_1", type: "function", function: call }];
  if (request.stream !== true) {
    const message = { role: "assistant", content, ...(calls && { tool_calls: calls }) };
    return { ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason: reason }], usage };
  }
  const chunk = (delta: object, finishReason: string | null = null) => ({
    ...head,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  });
  const deltas =
    calls === undefined
      ? (content ?? "").split(/(?<= )/).map((word) => chunk({ content: word }))
      : [chunk({ tool_calls: calls.map((each, index) => ({ index, ...each })) })];
  const events = [...deltas, chunk({}, reason), { ...chunk({}), choices: [], usage }].map((each) =>
    JSON.stringify(each),
  );
  const text = [...events, "[DONE]"].map((event) => Buffer.from(`data: ${event}\n\n`));
  return reply.type("text/event-stream").send(ReadableStream.from(text));
}
