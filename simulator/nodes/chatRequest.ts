import { z } from "zod";

import type { CallOptions, Prompt } from "../models/languageModel.ts";
import { definedOnly } from "./definedOnly.ts";
import { NodeError } from "./NodeError.ts";
import { parseRequest, samplingOptions, samplingShape } from "./samplingParameters.ts";

// A receipt's input hash does not cover the data of images and files, so a node does not take them.
const textPart = z.looseObject({ type: z.literal("text", { error: "only text parts are served" }), text: z.string() });
const text = z.union([z.string(), z.array(textPart).min(1)]).transform((content) => {
  return typeof content === "string" ? content : content.map((part) => part.text).join("\n");
});
const toolCall = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
const message = z.discriminatedUnion("role", [
  z.looseObject({ role: z.enum(["system", "developer"]), content: text }),
  z.looseObject({ role: z.literal("user"), content: text }),
  z.looseObject({ role: z.literal("assistant"), content: text.nullish(), tool_calls: z.array(toolCall).nullish() }),
  z.looseObject({ role: z.literal("tool"), content: text, tool_call_id: z.string() }),
]);
const jsonSchema = z.record(z.string(), z.unknown());
const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({
    name: z.string().min(1),
    description: z.string().optional(),
    parameters: jsonSchema.optional(),
    strict: z.boolean().nullish(),
  }),
});

export const chatRequestSchema = z.looseObject({
  ...samplingShape,
  messages: z.array(message).min(1),
  max_completion_tokens: samplingShape.max_tokens,
  tools: z.array(tool).nullish(),
  tool_choice: z
    .union([
      z.enum(["auto", "none", "required"]),
      z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text") }),
      z.looseObject({ type: z.literal("json_object") }),
      z.looseObject({
        type: z.literal("json_schema"),
        json_schema: z.looseObject({
          name: z.string(),
          description: z.string().optional(),
          schema: jsonSchema.optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .nullish(),
  logprobs: z.literal(false, { error: "log probabilities are not served" }).nullish(),
  web_search: z.literal(false, { error: "web search is not served" }).nullish(),
});
type ChatRequest = z.output<typeof chatRequestSchema>;

/** A chat request in the AI SDK's form. */
export interface ChatCall {
  model: string;
  streamed: boolean;
  options: CallOptions;
}

/** Reads the body of `POST /v1/chat/completions`. @throws NodeError 400. */
export function parseChatRequest(body: Uint8Array, maxOutputTokens: number): ChatCall {
  const request = parseRequest(chatRequestSchema, body);
  return {
    model: request.model,
    streamed: request.stream ?? false,
    options: {
      prompt: promptOf(request.messages),
      ...samplingOptions(request, request.max_tokens ?? request.max_completion_tokens, maxOutputTokens),
      ...toolOptions(request),
      ...formatOptions(request.response_format),
    },
  };
}

function promptOf(messages: ChatRequest["messages"]): Prompt {
  const toolNames = new Map<string, string>();
  return messages.map((message): Prompt[number] => {
    switch (message.role) {
      case "system":
      case "developer":
        return { role: "system", content: message.content };
      case "user":
        return { role: "user", content: [{ type: "text", text: message.content }] };
      case "assistant": {
        const calls = (message.tool_calls ?? []).map((call) => {
          toolNames.set(call.id, call.function.name);
          return {
            type: "tool-call" as const,
            toolCallId: call.id,
            toolName: call.function.name,
            input: parseArguments(call.function),
          };
        });
        return {
          role: "assistant",
          content: [...(message.content ? [{ type: "text" as const, text: message.content }] : []), ...calls],
        };
      }
      case "tool": {
        const toolName = toolNames.get(message.tool_call_id);
        if (toolName === undefined) {
          throw new NodeError(
            400,
            "invalid_request",
            `messages: a tool answers call "${message.tool_call_id}", which no assistant message before it makes`,
          );
        }
        const output = { type: "text" as const, value: message.content };
        return {
          role: "tool",
          content: [{ type: "tool-result", toolCallId: message.tool_call_id, toolName, output }],
        };
      }
    }
  });
}

function parseArguments({ name, arguments: text }: { name: string; arguments: string }): unknown {
  try {
    return JSON.parse(text === "" ? "{}" : text);
  } catch {
    throw new NodeError(400, "invalid_request", `messages: the arguments of a call of "${name}" are not JSON`);
  }
}

function toolOptions({ tools, tool_choice: choice }: ChatRequest): Pick<CallOptions, "tools" | "toolChoice"> {
  if (!tools?.length) return {};
  return {
    tools: tools.map(({ function: { name, description, parameters, strict } }) => ({
      type: "function",
      name,
      inputSchema: parameters ?? { type: "object", properties: {} },
      ...definedOnly({ description, strict: strict ?? undefined }),
    })),
    ...(choice != null && {
      toolChoice: typeof choice === "string" ? { type: choice } : { type: "tool", toolName: choice.function.name },
    }),
  };
}

function formatOptions(
  format: ChatRequest["response_format"],
): Pick<CallOptions, "responseFormat" | "providerOptions"> {
  if (format == null || format.type === "text") return {};
  if (format.type === "json_object") return { responseFormat: { type: "json" } };
  const { name, description, schema, strict } = format.json_schema;
  return {
    responseFormat: { type: "json", name, ...definedOnly({ description, schema }) },
    providerOptions: { openai: { strictJsonSchema: strict ?? false } },
  };
}
