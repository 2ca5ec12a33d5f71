import type { NgramModel } from "./NgramModel.ts";
import { endsSentence, isWord, stem } from "./tokens.ts";

/** What a prompt is about, seen from the corpus. */
export interface Topic {
  /** For each word id: how much likelier the word is in paragraphs about this topic than anywhere. Around 1 for words of no topic. */
  boost: Float64Array;
  /** Tokens to start an answer from: the question (or greeting) that opens the paragraph nearest to the prompt. */
  opening: readonly string[];
}

/** Stands for a prompt of which nothing is known, so that the model says what it knows rather than anything. */
const UNKNOWN_TOPIC = ["know", "everything"];

/** Words of questions and requests that say nothing about the topic. */
const FUNCTION_WORDS = new Set(
  (
    "a about an and any are as ask at be by can could did do does explain for from get give had has have how i if in is it its just let like " +
    "make me more much my no not of on one or our out please say sentence should so some something summarise summarize tell than that the " +
    "their them then there these they this to us was we were what when where which who why will with would write"
  ).split(" "),
);

/**
 * Topic adaptation by unigram rescaling (Gildea and Hofmann, 1999): paragraphs that share rare words with the prompt lend their word
 * frequencies.
 */
export class TopicPrior {
  readonly #model: NgramModel;
  readonly #paragraphs: readonly {
    tokens: readonly string[];
    stems: ReadonlySet<string>;
    opening: readonly string[];
  }[];
  readonly #rarity = new Map<string, number>();
  readonly #frequency: Float64Array;

  constructor(model: NgramModel, paragraphs: readonly (readonly string[])[]) {
    this.#model = model;
    this.#paragraphs = paragraphs.map((tokens) => {
      const opening = tokens.slice(0, tokens.findIndex(endsSentence) + 1);
      return { tokens, stems: new Set(tokens.map(stem)), opening };
    });
    const containing = new Map<string, number>();
    for (const { stems } of this.#paragraphs) {
      for (const word of stems) containing.set(word, (containing.get(word) ?? 0) + 1);
    }
    for (const [word, count] of containing) this.#rarity.set(word, Math.log(paragraphs.length / count));
    this.#frequency = this.#wordFrequency(this.#paragraphs.map(() => 1));
  }

  /** The topic of a prompt given as words with weights (recent words weigh more). */
  of(prompt: ReadonlyMap<string, number>): Topic {
    const scores = this.#scores(prompt);
    if (!scores.some((score) => score > 0)) return this.of(new Map(UNKNOWN_TOPIC.map((word) => [word, 1])));
    const best = Math.max(...scores);
    const topical = this.#wordFrequency(scores.map((score) => (score / best) ** 3));
    const boost = topical.map(
      (share, id) => (0.05 * (this.#frequency[id] ?? 0) + 0.95 * share) / (this.#frequency[id] || 1),
    );
    return { boost, opening: this.#paragraphs[scores.indexOf(best)]?.opening ?? [] };
  }

  /** For each paragraph, the rarity of the words it shares with the prompt; words of its opening question count three times. */
  #scores(prompt: ReadonlyMap<string, number>): number[] {
    const weights = new Map<string, number>();
    for (const [word, weight] of prompt) {
      const key = stem(word);
      if (isWord(word) && !FUNCTION_WORDS.has(word.toLowerCase()))
        weights.set(key, Math.max(weight, weights.get(key) ?? 0));
    }
    return this.#paragraphs.map(({ stems, opening }) => {
      const asked = new Set(opening.map(stem));
      let score = 0;
      for (const [word, weight] of weights) {
        if (stems.has(word)) score += weight * (this.#rarity.get(word) ?? 0) * (asked.has(word) ? 3 : 1);
      }
      return score;
    });
  }

  /** Relative frequency of each word id over weighted paragraphs. */
  #wordFrequency(weights: readonly number[]): Float64Array {
    const frequency = new Float64Array(this.#model.vocabulary.length);
    let total = 0;
    this.#paragraphs.forEach(({ tokens }, i) => {
      const weight = weights[i] ?? 0;
      for (const token of tokens) {
        const id = this.#model.id(token) ?? 0;
        frequency[id] = (frequency[id] ?? 0) + weight;
        total += weight;
      }
      frequency[0] = (frequency[0] ?? 0) + weight;
      total += weight;
    });
    return frequency.map((value) => value / total);
  }
}
