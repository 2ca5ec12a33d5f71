import { BOUNDARY } from "./tokens.ts";

const MAX_DISCOUNT = 0.35;

/** What followed one context. */
interface Followers {
  words: number[];
  counts: number[];
  total: number;
}

/**
 * An n-gram language model with interpolated Kneser–Ney smoothing (Kneser and Ney, 1995): the longest contexts use plain counts, shorter
 * ones the number of different words that stood before. The discount is the usual estimate n1 / (n1 + 2·n2), one per order, but capped:
 * in a text of a few pages nearly everything occurs once, and the estimate would give most of the mass away.
 */
export class NgramModel {
  readonly order: number;
  /** Words by id; `BOUNDARY` is id 0. */
  readonly vocabulary: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;
  /** For each context length, followers by the context's ids joined with spaces. */
  readonly #followers: readonly ReadonlyMap<string, Followers>[];
  readonly #discounts: readonly number[];

  /** Learns from paragraphs of tokens, each closed by a boundary. */
  constructor(paragraphs: readonly (readonly string[])[], order: number) {
    this.order = order;
    this.vocabulary = [BOUNDARY, ...new Set(paragraphs.flat())];
    this.#ids = new Map(this.vocabulary.map((word, id) => [word, id]));
    this.#followers = countFollowers(
      paragraphs.map((tokens) => [...tokens, BOUNDARY].map((token) => this.id(token) ?? 0)),
      order,
    );
    this.#discounts = this.#followers.map(discount);
  }

  /** A word's id; undefined for a word never seen. */
  id(word: string): number | undefined {
    return this.#ids.get(word);
  }

  /**
   * Probability of every word after `context` (ids, oldest first; only the last `order − 1` count). Sums to 1.
   * `undefined` marks an unknown word: nothing before it is used.
   */
  distribution(context: readonly (number | undefined)[]): Float64Array {
    const probabilities = new Float64Array(this.vocabulary.length).fill(1 / this.vocabulary.length);
    const usable = context.slice(-(this.order - 1));
    const known = usable.slice(usable.lastIndexOf(undefined) + 1);
    for (let length = 0; length <= known.length; length++) {
      const followers = this.#followers[length]?.get(known.slice(known.length - length).join(" "));
      if (followers === undefined) break;
      const discounted = this.#discounts[length] ?? 0;
      const leftOver = (discounted * followers.words.length) / followers.total;
      for (let id = 0; id < probabilities.length; id++) probabilities[id] = leftOver * (probabilities[id] ?? 0);
      followers.words.forEach((word, i) => {
        const share = ((followers.counts[i] ?? 0) - discounted) / followers.total;
        probabilities[word] = (probabilities[word] ?? 0) + share;
      });
    }
    return probabilities;
  }
}

function countFollowers(sequences: readonly number[][], order: number): Map<string, Followers>[] {
  const counts: Map<string, Map<number, number>>[] = Array.from(
    { length: order },
    () => new Map<string, Map<number, number>>(),
  );
  const seen = new Set<string>();
  const count = (context: readonly number[], word: number): void => {
    const byContext = counts[context.length];
    const key = context.join(" ");
    const words = byContext?.get(key) ?? new Map<number, number>();
    words.set(word, (words.get(word) ?? 0) + 1);
    byContext?.set(key, words);
  };
  for (const sequence of sequences) {
    const padded = [...Array<number>(order - 1).fill(0), ...sequence];
    for (let end = order - 1; end < padded.length; end++) {
      const word = padded[end] ?? 0;
      count(padded.slice(end - order + 1, end), word);
      // A shorter context counts each different word before it once: that is, once for each longer n-gram not met before.
      for (let length = order - 2; length >= 0; length--) {
        const longer = padded.slice(end - length - 1, end + 1).join(" ");
        if (seen.has(longer)) break;
        seen.add(longer);
        count(padded.slice(end - length, end), word);
      }
    }
  }
  return counts.map(
    (byContext) =>
      new Map(
        Array.from(byContext, ([context, words]) => {
          const values = [...words.values()];
          return [
            context,
            { words: [...words.keys()], counts: values, total: values.reduce((sum, value) => sum + value, 0) },
          ];
        }),
      ),
  );
}

function discount(followers: ReadonlyMap<string, Followers>): number {
  let once = 0;
  let twice = 0;
  for (const { counts } of followers.values()) {
    for (const value of counts) {
      if (value === 1) once += 1;
      if (value === 2) twice += 1;
    }
  }
  return once === 0 ? 0 : Math.min(MAX_DISCOUNT, once / (once + 2 * twice));
}
