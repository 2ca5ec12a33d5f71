import { z } from "zod";

import type { LanguageModelV4 } from "../models/languageModel.ts";
import { LOCAL_TEXT_MODEL_ID, LocalTextModel } from "../models/LocalTextModel.ts";
import { LLM_CATALOG } from "./llmCatalog.ts";

/** Somewhere chat models run: a provider's API, or this process. */
export interface Upstream {
  /** Prefix of its models' ids: "openai" in "openai/gpt-5". */
  readonly provider: string;
  /** Models known to be there, without the prefix. */
  readonly modelIds: readonly string[];
  /** Whether `modelIds` are all there are. */
  readonly complete: boolean;
  languageModel(modelId: string): LanguageModelV4;
}

/** The endpoint of OPENAI_COMPATIBLE_BASE_URL did not list its models. */
export class UpstreamUnreachableError extends Error {
  override readonly name = "UpstreamUnreachableError";
  readonly code = "upstream_unreachable";
}

const DISCOVERY_TIMEOUT_MS = 5_000;

// An empty variable is as good as none.
const variable = z
  .string()
  .optional()
  .transform((value) => value?.trim() || undefined);
const environmentSchema = z.object({
  OPENAI_API_KEY: variable,
  OPENAI_BASE_URL: variable,
  ANTHROPIC_API_KEY: variable,
  ANTHROPIC_BASE_URL: variable,
  GOOGLE_GENERATIVE_AI_API_KEY: variable,
  XAI_API_KEY: variable,
  OPENAI_COMPATIBLE_BASE_URL: variable.pipe(z.url({ protocol: /^https?$/ }).optional()),
  OPENAI_COMPATIBLE_API_KEY: variable,
});

/** This process's own text model: needs no key and no network. */
export function localUpstream(): Upstream {
  const model = new LocalTextModel();
  const [provider = "", modelId = ""] = LOCAL_TEXT_MODEL_ID.split("/");
  return { provider, modelIds: [modelId], complete: true, languageModel: () => model };
}

/**
 * The upstreams for which the environment has keys, and always the local text model. Packages of providers without a key are not loaded.
 *
 * @throws UpstreamUnreachableError when an OpenAI-compatible URL is given that does not list its models.
 */
export async function upstreamsFromEnvironment(env: NodeJS.ProcessEnv = process.env): Promise<Upstream[]> {
  const keys = environmentSchema.parse(env);
  const upstreams = [localUpstream()];
  if (keys.OPENAI_API_KEY !== undefined) {
    const { createOpenAI } = await import("@ai-sdk/openai");
    const provider = createOpenAI({
      apiKey: keys.OPENAI_API_KEY,
      ...(keys.OPENAI_BASE_URL !== undefined && { baseURL: keys.OPENAI_BASE_URL }),
    });
    // The older of OpenAI's two APIs: it knows `stop` and `seed`, which requests here may carry.
    upstreams.push(known("openai", (id) => provider.chat(id)));
  }
  if (keys.ANTHROPIC_API_KEY !== undefined) {
    const { createAnthropic } = await import("@ai-sdk/anthropic");
    const provider = createAnthropic({
      apiKey: keys.ANTHROPIC_API_KEY,
      ...(keys.ANTHROPIC_BASE_URL !== undefined && { baseURL: keys.ANTHROPIC_BASE_URL }),
    });
    upstreams.push(known("anthropic", provider));
  }
  if (keys.GOOGLE_GENERATIVE_AI_API_KEY !== undefined) {
    const { createGoogleGenerativeAI } = await import("@ai-sdk/google");
    upstreams.push(known("google", createGoogleGenerativeAI({ apiKey: keys.GOOGLE_GENERATIVE_AI_API_KEY })));
  }
  if (keys.XAI_API_KEY !== undefined) {
    const { createXai } = await import("@ai-sdk/xai");
    upstreams.push(known("x-ai", createXai({ apiKey: keys.XAI_API_KEY })));
  }
  if (keys.OPENAI_COMPATIBLE_BASE_URL !== undefined) {
    upstreams.push(await compatibleUpstream(keys.OPENAI_COMPATIBLE_BASE_URL, keys.OPENAI_COMPATIBLE_API_KEY));
  }
  return upstreams;
}

/**
 * Any server that speaks OpenAI's chat API, under the prefix "compatible"; it is asked for its models.
 *
 * @param baseUrl Including the version, e.g. "http://127.0.0.1:11434/v1".
 * @throws UpstreamUnreachableError
 */
export async function compatibleUpstream(baseUrl: string, apiKey?: string): Promise<Upstream> {
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const provider = createOpenAICompatible({
    name: "compatible",
    baseURL: baseUrl,
    includeUsage: true,
    supportsStructuredOutputs: true,
    ...(apiKey !== undefined && { apiKey }),
  });
  const modelIds = await listModels(baseUrl, apiKey);
  return { provider: "compatible", modelIds, complete: true, languageModel: (id) => provider.chatModel(id) };
}

function known(provider: keyof typeof LLM_CATALOG, languageModel: (id: string) => LanguageModelV4): Upstream {
  return { provider, modelIds: LLM_CATALOG[provider], complete: false, languageModel };
}

async function listModels(baseUrl: string, apiKey: string | undefined): Promise<string[]> {
  const url = `${baseUrl.replace(/\/+$/, "")}/models`;
  try {
    const response = await fetch(url, {
      headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
      signal: AbortSignal.timeout(DISCOVERY_TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { data } = z.object({ data: z.array(z.object({ id: z.string() })) }).parse(await response.json());
    return data.map(({ id }) => id);
  } catch (error) {
    throw new UpstreamUnreachableError(`expected a list of models from ${url}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
