/** What contenders are asked. Within a session the same again is the same request, so that text can differ. */
export const chatBody = (text = "Say hello."): string =>
  JSON.stringify({ model: "bench", max_tokens: 16, messages: [{ role: "user", content: text }] });

/** What every contender is asked. */
export const CHAT_BODY = chatBody();
