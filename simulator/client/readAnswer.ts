import { z } from "zod";
import { chatOutputHash, completionOutputHash, inferenceOutputHash, type RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import { VerificationError } from "./ClientError.ts";

/** Text that a reader could take for part of the answer, and that no receipt covers. */
const absent = z.union([z.null(), z.literal("")]).optional();
const uncovered = {
  refusal: absent,
  function_call: absent,
  audio: absent,
  reasoning_content: absent,
  reasoning: absent,
};

const toolCallSchema = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});

const chatSchema = z.looseObject({
  choices: z.tuple([
    z.looseObject({
      message: z.looseObject({
        ...uncovered,
        content: z.string().nullish(),
        tool_calls: z.array(toolCallSchema).nullish(),
      }),
    }),
  ]),
});
const completionSchema = z.looseObject({
  completion: z.string().optional(),
  choices: z.tuple([z.looseObject({ text: z.string() })]),
});
const inferenceSchema = z.looseObject({ outputs: z.record(z.string(), z.unknown()) });

/**
 * `outputHash` of a whole answer.
 * @throws VerificationError when the answer is unreadable or holds text that its receipt cannot cover.
 */
export function outputHashOf(kind: RequestKind, answer: unknown): Hex {
  switch (kind) {
    case "chat": {
      const { message } = parse(chatSchema, answer).choices[0];
      return chatOutputHash(onlyOne(message.content ?? "", message.tool_calls ?? []));
    }
    case "completion": {
      const { completion, choices } = parse(completionSchema, answer);
      if (completion !== undefined && completion !== choices[0].text) {
        throw new VerificationError("unsigned_content", "`completion` differs from the choice's text");
      }
      return completionOutputHash(choices[0].text);
    }
    case "inference":
      return inferenceOutputHash(parse(inferenceSchema, answer).outputs);
  }
}

const chatChunkSchema = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        index: z.literal(0),
        delta: z.looseObject({
          ...uncovered,
          content: z.string().nullish(),
          tool_calls: z
            .array(
              z.looseObject({
                index: z.int().min(0).max(1_000),
                id: z.string().nullish(),
                type: z.literal("function").nullish(),
                function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
              }),
            )
            .nullish(),
        }),
      }),
    )
    .max(1),
});
const completionChunkSchema = z.looseObject({
  completion: absent,
  choices: z.array(z.looseObject({ index: z.literal(0), text: z.string() })).max(1),
});

interface PartialCall {
  id: string | null;
  type: "function";
  function: { name: string; arguments: string };
}

/** Puts the output of a stream together as an OpenAI client does. */
export class StreamedOutput {
  readonly #kind: RequestKind;
  readonly #calls: PartialCall[] = [];
  #text = "";

  constructor(kind: RequestKind) {
    this.#kind = kind;
  }

  /** @throws VerificationError */
  add(chunk: unknown): void {
    if (this.#kind !== "chat") {
      for (const { text } of parse(completionChunkSchema, chunk).choices) this.#text += text;
      return;
    }
    for (const { delta } of parse(chatChunkSchema, chunk).choices) {
      this.#text += delta.content ?? "";
      for (const { index, id, function: called } of delta.tool_calls ?? []) {
        if (index > this.#calls.length)
          throw new VerificationError("unreadable_answer", `Tool call ${index} comes out of turn`);
        const call = (this.#calls[index] ??= { id: null, type: "function", function: { name: "", arguments: "" } });
        call.id = id ?? call.id;
        call.function.name += called?.name ?? "";
        call.function.arguments += called?.arguments ?? "";
      }
    }
  }

  /** @throws VerificationError */
  hash(): Hex {
    return this.#kind === "chat" ? chatOutputHash(onlyOne(this.#text, this.#calls)) : completionOutputHash(this.#text);
  }
}

/** The hash covers the calls or the text, not both. */
function onlyOne<T>(content: string, calls: T[]): { content: string; tool_calls: T[] } {
  if (content !== "" && calls.length > 0) {
    throw new VerificationError(
      "unsigned_content",
      "An answer with tool calls and text: its receipt covers the calls only",
    );
  }
  return { content, tool_calls: calls };
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new VerificationError(
    "unreadable_answer",
    `The answer is not what was asked for: ${z.prettifyError(parsed.error)}`,
  );
}
