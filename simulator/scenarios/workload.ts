import { SeededRandom } from "../models/SeededRandom.ts";
import { LOCAL_TEXT_MODEL_ID } from "../models/LocalTextModel.ts";
import { LIQUIDATION_RISK_ID } from "../models/liquidationRisk.ts";
import { LIAR_MODEL_ID } from "./SimulatedNetwork.ts";

/** One request of the simulation's clients. */
export type WorkItem =
  | { kind: "chat" | "stream" | "completion"; model: string; prompt: string }
  | { kind: "inference"; model: string; positions: number[][] };

const SUBJECTS = [
  "a signed receipt",
  "a verifier node",
  "the gateway",
  "staking",
  "an escrowed request",
  "a fraud proof",
];
const QUESTIONS = ["What is", "Why does the network need", "Who pays for", "How does one check"];

/** Requests it takes for the liar to lie in both of its ways. */
export const LIAR_REQUESTS = 3;

/** Of ten requests four are chat, two streamed chat, one a completion, three tensors; the first tensors go to the liar. */
export function makeWorkload(count: number, seed: number): WorkItem[] {
  const random = new SeededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random.uniform() * values.length)]!;
  let inferences = 0;
  return Array.from({ length: count }, (_, index): WorkItem => {
    const share = index % 10;
    const prompt = `${pick(QUESTIONS)} ${pick(SUBJECTS)}?`;
    if (share < 4) return { kind: "chat", model: LOCAL_TEXT_MODEL_ID, prompt };
    if (share < 6) return { kind: "stream", model: LOCAL_TEXT_MODEL_ID, prompt };
    if (share < 7) return { kind: "completion", model: LOCAL_TEXT_MODEL_ID, prompt };
    inferences += 1;
    const model = inferences <= LIAR_REQUESTS ? LIAR_MODEL_ID : LIQUIDATION_RISK_ID;
    return { kind: "inference", model, positions: [position(random)] };
  });
}

/** Features as in simulator/models/liquidation-risk.json, within their ranges. */
function position(random: SeededRandom): number[] {
  const between = (low: number, high: number) => Math.round((low + random.uniform() * (high - low)) * 1e4) / 1e4;
  return [
    between(0.1, 0.95),
    between(0.6, 0.95),
    between(0.05, 1.8),
    between(0.005, 1.2),
    between(-1.2, 1.2),
    between(0, 0.3),
    between(2, 7),
    between(0, 180),
  ];
}
