/** Ends a paragraph; also stands before its first word. Never part of a text. */
export const BOUNDARY = "¶";

const TOKEN = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|[.,;:?!]/gu;

/** Splits text into words and the punctuation that shapes sentences; everything else is dropped. */
export function tokenize(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** Whether the token is a word rather than punctuation. */
export function isWord(token: string): boolean {
  return !/^[.,;:?!]$/.test(token);
}

/** Whether a sentence may end with this token. */
export function endsSentence(token: string | undefined): boolean {
  return token === "." || token === "?" || token === "!";
}

/** A token as it is written after `previous`: with a space, unless it is punctuation or stands first. */
export function written(token: string, previous: string | undefined): string {
  return previous === undefined || !isWord(token) ? token : ` ${token}`;
}

/** The form in which words are compared by topic: lower case, without a plural's s. */
export function stem(token: string): string {
  const lower = token.toLowerCase();
  return lower.length > 3 && lower.endsWith("s") && !lower.endsWith("ss") ? lower.slice(0, -1) : lower;
}
