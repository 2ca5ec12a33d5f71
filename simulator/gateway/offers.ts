import { GatewayError } from "./GatewayError.ts";
import type { NodeDirectory, Offer } from "./NodeDirectory.ts";
import type { ModelRequest } from "./requestSchemas.ts";
import { sealedOffers } from "./sealedRequests.ts";

/** What can be bought for a request. @throws GatewayError when nothing can. */
export function offersFor(
  directory: NodeDirectory,
  { model, kind, sealedFor }: Pick<ModelRequest, "model" | "kind" | "sealedFor">,
): Offer[] {
  const offers = directory.offersFor(model);
  if (offers.length === 0) {
    throw new GatewayError(
      404,
      "invalid_request_error",
      "model_not_found",
      `No node serves a model "${model}"; see /v1/models`,
    );
  }
  if (sealedFor !== undefined) return sealedOffers(offers, sealedFor);
  const fitting = offers.filter((offer) => (offer.kind === "onnx") === (kind === "inference"));
  if (fitting.length === 0) {
    const route = kind === "inference" ? "/v1/chat/completions or /v1/completions" : "/v1/inference";
    throw new GatewayError(
      400,
      "invalid_request_error",
      "wrong_endpoint",
      `The model "${model}" is served at ${route}`,
    );
  }
  return fitting;
}

export const nodeDown = (): GatewayError =>
  new GatewayError(
    503,
    "upstream_error",
    "node_unreachable",
    "The model's node is not reachable now; nothing was charged",
    {
      retryAfterSeconds: 5,
    },
  );
