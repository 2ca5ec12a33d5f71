import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { z } from "zod";

export const OPENAPI_ROUTE = "/openapi.json";

/** An OpenAPI 3.1 schema object, header, response or operation: JSON that only ever gets written out. */
export type Json = { [key: string]: unknown };

/** An operation by method and path, e.g. "post /v1/completions". Path parameters in braces. */
export type Operations = Readonly<Record<string, Json>>;

export interface ApiDescription {
  title: string;
  description: string;
  operations: Operations;
  /** Named shapes, to be referred to as `#/components/schemas/<name>` (`schemaRef`). */
  schemas: z.core.$ZodRegistry<{ id: string }>;
  /** OpenAPI's security schemes by name. */
  securitySchemes?: Json;
}

export const schemaRef = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

/**
 * Serves `GET /openapi.json`: an OpenAPI 3.1 document of every route that `app` serves, as far as `operations` describes it. Routes
 * are to be added in `app.after`, once this is loaded; what it serves is made once.
 */
export function addOpenApi(app: FastifyInstance, api: ApiDescription): void {
  void app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: api.title, description: api.description, version: "1.0.0" },
      // describes what a client may send: relative, because a server does not know the names it is reached by
      servers: [{ url: "/" }],
    },
    transformObject: (document) => describe("openapiObject" in document ? document.openapiObject : {}, api),
    exposeHeadRoutes: false,
  });
  app.after(() => {
    app.get(OPENAPI_ROUTE, (_request, reply) => reply.header("cache-control", "max-age=300").send(app.swagger()));
  });
}

function describe(found: Json, { operations, schemas, securitySchemes }: ApiDescription): Json {
  const paths = Object.entries((found["paths"] ?? {}) as Record<string, Record<string, Json>>).map(([path, item]) => [
    path,
    Object.fromEntries(
      Object.entries(item).map(([method, operation]) => [method, operations[`${method} ${path}`] ?? operation]),
    ),
  ]);
  return {
    ...found,
    paths: Object.fromEntries(paths) as Json,
    components: { schemas: jsonSchemas(schemas), ...(securitySchemes && { securitySchemes }) },
  };
}

/** JSON Schema 2020-12 of every registered zod schema, as a client writes it. */
function jsonSchemas(schemas: ApiDescription["schemas"]): Json {
  const { schemas: found } = z.toJSONSchema(schemas, {
    io: "input",
    unrepresentable: "any",
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(found).map(([id, { $schema: _dialect, $id: _id, ...schema }]) => [id, schema]),
  );
}
