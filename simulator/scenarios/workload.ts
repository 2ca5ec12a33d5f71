import { SeededRandom } from "../models/SeededRandom.ts";
import { LOCAL_TEXT_MODEL_ID } from "../models/LocalTextModel.ts";
import { LIQUIDATION_RISK_ID } from "../models/liquidationRisk.ts";
import { LIAR_MODEL_ID } from "./SimulatedNetwork.ts";

/**
 * Whom a request is sent to, and how it is paid: the public gateway, by single payments and sessions or through a channel; an enclave;
 * or an enclave with the request sealed.
 */
export type Route = "gateway" | "channel" | "enclave" | "sealed";

/** One request of the simulation's clients. */
export type WorkItem = { route: Route } & (
  | { kind: "chat" | "stream" | "completion"; model: string; prompt: string }
  | { kind: "inference"; model: string; positions: number[][] }
);

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

/** Routes of ten requests: five go to enclaves, two of them sealed; of the chats at the gateway one is paid through a channel. */
const ROUTES: readonly Route[] = [
  ...(["gateway", "enclave", "channel", "sealed"] as const),
  ...(["enclave", "sealed"] as const),
  "gateway",
  ...(["gateway", "gateway", "enclave"] as const),
];

/** Of ten requests four are chat, two streamed chat, one a completion, three tensors; the first tensors go to the liar, who has no enclave. */
export function makeWorkload(count: number, seed: number): WorkItem[] {
  const random = new SeededRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random.uniform() * values.length)]!;
  let inferences = 0;
  return Array.from({ length: count }, (_, index): WorkItem => {
    const share = index % 10;
    const route = ROUTES[share]!;
    const prompt = `${pick(QUESTIONS)} ${pick(SUBJECTS)}?`;
    if (share < 4) return { kind: "chat", route, model: LOCAL_TEXT_MODEL_ID, prompt };
    if (share < 6) return { kind: "stream", route, model: LOCAL_TEXT_MODEL_ID, prompt };
    if (share < 7) return { kind: "completion", route, model: LOCAL_TEXT_MODEL_ID, prompt };
    inferences += 1;
    const positions = [position(random)];
    if (inferences <= LIAR_REQUESTS) return { kind: "inference", route: "gateway", model: LIAR_MODEL_ID, positions };
    return { kind: "inference", route, model: LIQUIDATION_RISK_ID, positions };
  });
}

/** Features as in simulator/models/liquidation-risk.json, within their ranges. */
export function position(random: SeededRandom): number[] {
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
