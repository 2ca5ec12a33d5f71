import { pino } from "pino";
import {
  InferenceNode,
  type CompletedInference,
  type InferenceContext,
  type InferenceNodeOptions,
  type ModelOffer,
  type PreparedInference,
} from "../../../simulator/nodes/InferenceNode.ts";
import { NodeError } from "../../../simulator/nodes/NodeError.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import type { TokenPrice } from "../../../simulator/pricing/TokenPrice.ts";
import type { RequestKind } from "../../../simulator/receipts/hashes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex, SettlementDomain } from "../../../simulator/receipts/types.ts";

/** What the test has the model do, word by word. */
export type Script = (words: readonly string[], say: (word: string) => void, signal: AbortSignal) => Promise<void>;

const sayAll: Script = (words, say) => {
  for (const word of words) say(word);
  return Promise.resolve();
};

export interface ScriptedNodeOptions {
  domain: SettlementDomain;
  asset: Hex;
  operator: Hex;
  payout: Hex;
  feeWei: bigint;
  model?: string;
  /** Sells by the token: a word is one, of the last message and of the answer. */
  tokenPrice?: TokenPrice;
  maxOutputTokens?: number;
  /** SQLite file. */
  storeFile?: string;
  port?: number;
  signer?: InferenceNodeOptions["signer"];
  enclave?: NonNullable<InferenceNodeOptions["enclave"]>;
  sealing?: NonNullable<InferenceNodeOptions["sealing"]>;
  /** Default: silent. */
  logger?: InferenceNodeOptions["logger"];
}

export const NODE_TOKEN = "operator-secret";

/**
 * A real inference node, HTTP API, signing and durable answers included, whose model is a script: it repeats the last message, at the
 * pace the test wants.
 */
export class ScriptedNode extends InferenceNode {
  readonly offers: readonly ModelOffer[];
  protected override readonly modelKind = "chat";
  /** How many times the model ran. */
  inferences = 0;
  script: Script = sayAll;

  constructor(options: ScriptedNodeOptions) {
    const {
      feeWei,
      model = "test/echo",
      storeFile = ":memory:",
      signer,
      tokenPrice,
      maxOutputTokens,
      ...rest
    } = options;
    super(
      {
        logger: pino({ level: "silent" }),
        ...rest,
        signer: signer ?? rest.enclave?.signer ?? signerFromKey(randomKey()),
        store: new ReceiptStore(storeFile),
        bearerToken: NODE_TOKEN,
      },
      ["chat", "completion"],
    );
    this.offers = [
      {
        ...{ id: model, modelId: keccak256(model), feeWei },
        ...(tokenPrice && { tokenPrice }),
        ...(maxOutputTokens !== undefined && { maxOutputTokens }),
      },
    ];
  }

  protected override prepare(kind: RequestKind, body: Uint8Array): PreparedInference {
    const request = JSON.parse(Buffer.from(body).toString()) as {
      model: string;
      stream?: boolean;
      prompt?: string;
      messages?: { content: string }[];
    };
    const offer = this.offers.find(({ id }) => id === request.model);
    if (offer === undefined) throw new NodeError(404, "model_not_found", request.model);
    const words = (request.prompt ?? request.messages?.at(-1)?.content ?? "").split(/(?<= )/);
    const run = async ({ id, created, emit, cancellation }: InferenceContext): Promise<CompletedInference> => {
      this.inferences++;
      const identity = { id: `${kind}-${id}`, created, model: offer.id };
      let text = "";
      let outputTokens = 0;
      const say = (word: string): void => {
        text += word;
        outputTokens++;
        if (request.stream) emit({ ...identity, ...chunk(kind, word, null) });
      };
      await this.script(words, say, cancellation.signal);
      const tokens = { inputTokens: words.length, outputTokens };
      const usage = {
        prompt_tokens: words.length,
        completion_tokens: outputTokens,
        total_tokens: words.length + outputTokens,
      };
      const finished = { output: text, usage: tokens };
      if (request.stream) {
        emit({ ...identity, ...chunk(kind, "", "stop") });
        return { ...finished, answer: { ...identity, ...chunk(kind, "", "stop"), choices: [], usage } };
      }
      return { ...finished, answer: { ...identity, ...whole(kind, text), usage } };
    };
    return { offer, streamed: request.stream ?? false, run };
  }
}

const chunk = (kind: RequestKind, word: string, finish: string | null): object =>
  kind === "chat"
    ? {
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta: finish === null ? { content: word } : {}, finish_reason: finish }],
      }
    : { object: "text_completion", choices: [{ index: 0, text: word, finish_reason: finish }] };

const whole = (kind: RequestKind, text: string): object =>
  kind === "chat"
    ? {
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
      }
    : { object: "text_completion", completion: text, choices: [{ index: 0, text, finish_reason: "stop" }] };
