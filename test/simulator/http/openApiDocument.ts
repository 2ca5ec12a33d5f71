import { createRequire } from "node:module";
import { expect } from "chai";
import type { FastifyPluginCallback } from "fastify";

/** What the tests read of an OpenAPI document. */
export interface OpenApiDocument {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, OpenApiOperation>>;
  components: { schemas: Record<string, object>; securitySchemes?: Record<string, object> };
}

interface OpenApiOperation {
  operationId?: string;
  parameters?: { name: string; in: string; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; headers?: object; content?: Record<string, { schema: object }> }>;
}

type Check = ((value: unknown) => boolean) & { errors?: unknown };
interface Validator {
  addSchema(schema: object, id: string): void;
  compile(schema: object): Check;
}

// Fastify's own JSON Schema validator, in the dialect that OpenAPI 3.1 is written in
const fromFastify = createRequire(createRequire(import.meta.url).resolve("@fastify/ajv-compiler"));
const { Ajv2020 } = fromFastify("ajv/dist/2020.js") as { Ajv2020: new (options: object) => Validator };

/** A document's own checks of JSON, by the name of a shape. */
export class OpenApiChecker {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });

  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.#ajv.addSchema({ ...document, $id: "api:" }, "api:");
  }

  /** That JSON has the shape which the document gives to an answer. */
  expectAnswer(operation: string, status: number, body: unknown): void {
    const [method = "", path = ""] = operation.split(" ");
    const pointer = ["paths", path, method, "responses", String(status), "content", "application/json", "schema"]
      .map((step) => encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1")))
      .join("/");
    const check = this.#ajv.compile({ $ref: `api:#/${pointer}` });
    expect(check(body), `${operation} ${status}: ${JSON.stringify(check.errors)}`).to.equal(true);
  }

  /** What OpenAPI 3.1 demands of a document, as far as ours use it. */
  expectValid(): void {
    const { openapi, info, paths, components } = this.#document;
    expect(openapi).to.match(/^3\.1\.\d+$/);
    expect(info.title).to.be.a("string").and.not.equal("");
    expect(info.version).to.be.a("string").and.not.equal("");
    const ids = new Set<string>();
    for (const [path, item] of Object.entries(paths)) {
      expect(path).to.match(/^\//);
      const parameters = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      for (const [method, operation] of Object.entries(item)) {
        const where = `${method} ${path}`;
        expect(operation.operationId, where).to.be.a("string");
        expect(ids.has(operation.operationId!), `operationId twice: ${operation.operationId}`).to.equal(false);
        ids.add(operation.operationId!);
        const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
        expect(inPath.map(({ name }) => name)).to.have.members(parameters as string[], where);
        for (const { name, in: place, schema } of operation.parameters ?? []) {
          expect(["path", "query", "header"], `${where} ${name}`).to.include(place);
          this.#ajv.compile({ $id: `${where} ${name}`.replace(/\W+/g, "-"), ...schema });
        }
        expect(Object.keys(operation.responses), where).to.not.be.empty;
        for (const [status, { description, content = {} }] of Object.entries(operation.responses)) {
          expect(status, where).to.match(/^([1-5]\d\d|default)$/);
          expect(description, `${where} ${status}`).to.be.a("string").and.not.equal("");
          for (const [type, { schema }] of Object.entries(content)) {
            expect(type, where).to.match(/^[\w.+-]+\/[\w.+-]+$/);
            expect(schema, `${where} ${status}`).to.be.an("object");
          }
        }
      }
    }
    for (const name of Object.keys(components.schemas)) this.#ajv.compile({ $ref: `api:#/components/schemas/${name}` });
    for (const [, name] of JSON.stringify(this.#document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      expect(components.schemas, "a reference").to.have.property(name!);
    }
  }
}

/** Writes down the routes of the server it is registered with, e.g. "post /v1/completions"; HEAD comes with GET. */
export function listRoutes(routes: Set<string>): FastifyPluginCallback {
  const plugin: FastifyPluginCallback = (app, _options, done) => {
    app.addHook("onReady", (ready) => {
      for (const route of routesOf(app.printRoutes({ commonPrefix: false }))) routes.add(route);
      ready();
    });
    done();
  };
  // in the server's own scope: that is where the routes are
  return Object.assign(plugin, { [Symbol.for("skip-override")]: true });
}

/** Reads Fastify's drawing of its routes, a tree of four columns per level. */
function routesOf(tree: string): string[] {
  const prefixes: string[] = [];
  return tree.split("\n").flatMap((line) => {
    const [, indent = "", part = "", methods = ""] = /^([│ ]*)[├└]── (\S+) ?(?:\(([A-Z, ]+)\))?$/.exec(line) ?? [];
    const level = indent.length / 4;
    prefixes[level + 1] = (prefixes[level] ?? "") + part;
    const path = prefixes[level + 1]!.replace(/:(\w+)/g, "{$1}");
    const served = methods.split(", ").filter((method) => method !== "" && method !== "HEAD");
    return served.map((method) => `${method.toLowerCase()} ${path}`);
  });
}
