/**
 * Ids under which OpenGradient's clients know models of each provider (`TEE_LLM` of its SDKs; the prefix is dropped by some). An operator may offer
 * others of a provider too.
 */
export const LLM_CATALOG = {
  openai: [
    "gpt-4.1-2025-04-14",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o3",
    "o4-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5.2",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.4-nano",
    "gpt-5.5",
  ],
  anthropic: [
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-opus-4-7",
  ],
  google: [
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
  ],
  "x-ai": ["grok-4", "grok-4-fast", "grok-4-1-fast", "grok-4-1-fast-non-reasoning"],
} as const satisfies Record<string, readonly string[]>;
