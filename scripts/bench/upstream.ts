import { createServer, type AddressInfo } from "node:net";
import { RequestReader } from "./load/RequestReader.ts";

const MODEL = "bench";
const USAGE = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 };
const STREAMED_TOKENS = 20;

/** OpenAI-compatible answers that are ready before they are asked for, so that what is measured is what stands in front. */
const completion = {
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: MODEL,
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "Hello from the upstream." },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage: USAGE,
};

const chunk = (delta: object, finish: "stop" | null, usage?: object): string =>
  `data: ${JSON.stringify({
    id: completion.id,
    object: "chat.completion.chunk",
    created: completion.created,
    model: MODEL,
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...(usage && { usage }),
  })}\n\n`;

function answer(contentType: string, body: string): Buffer {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: ${contentType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
}

function chunkedAnswer(parts: readonly string[]): Buffer {
  const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  const chunks = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
  return Buffer.from(`${head}${chunks.join("")}0\r\n\r\n`);
}

const whole = answer("application/json", JSON.stringify(completion));
const models = answer(
  "application/json",
  JSON.stringify({ object: "list", data: [{ id: MODEL, object: "model", created: 0, owned_by: "bench" }] }),
);
const streamed = chunkedAnswer([
  chunk({ role: "assistant", content: "" }, null),
  ...Array.from({ length: STREAMED_TOKENS }, (_, i) => chunk({ content: `token${i} ` }, null)),
  chunk({}, "stop", USAGE),
  "data: [DONE]\n\n",
]);

const server = createServer({ noDelay: true }, (socket) => {
  const reader = new RequestReader();
  socket.on("data", (bytes) => {
    for (const { get, stream } of reader.push(bytes)) socket.write(get ? models : stream ? streamed : whole);
  });
  socket.on("error", () => socket.destroy());
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 512 }, () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  if (process.send === undefined) console.log(url);
  else process.send({ url });
});
process.on("disconnect", () => process.exit());
