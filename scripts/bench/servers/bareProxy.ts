import Fastify from "fastify";
import { Pool } from "undici";
import { serve, settings } from "../harness/serve.ts";

/** As little as a gateway can do: Fastify takes the request, undici passes its bytes on. */
const { upstream } = settings<{ upstream: string }>();
const pool = new Pool(upstream, { connections: 64 });
const app = Fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
app.post("/v1/chat/completions", async (request, reply) => {
  const { statusCode, headers, body } = await pool.request({
    method: "POST",
    path: "/v1/chat/completions",
    headers: { "content-type": "application/json" },
    body: request.body as Buffer,
  });
  const answer = await body.arrayBuffer();
  return reply.code(statusCode).type(String(headers["content-type"])).send(Buffer.from(answer));
});
serve({ url: await app.listen({ host: "127.0.0.1", port: 0 }) }, () => app.close());
