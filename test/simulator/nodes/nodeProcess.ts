/** Runs a node in a process of its own, to be killed: `nodeProcess.ts DATABASE SIGNER_KEY UPSTREAM_URL`. Sends its URL to the parent. */
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { compatibleUpstream } from "../../../simulator/nodes/upstreams.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { FEE, MODEL_ID, nodeOptions } from "./nodeFixture.ts";

async function main(): Promise<void> {
  const [database = "", key = "", upstreamUrl] = process.argv.slice(2);
  const options = nodeOptions({ store: new ReceiptStore(database), signer: signerFromKey(key as Hex) });
  const terms = { modelId: MODEL_ID, feeWei: FEE };
  const node =
    upstreamUrl === undefined
      ? new LocalInferenceNode({
          ...options,
          offers: [{ id: LIQUIDATION_RISK_ID, source: LIQUIDATION_RISK_MODEL, ...terms }],
        })
      : new LlmProxyNode({
          ...options,
          upstreams: [{ ...(await compatibleUpstream(upstreamUrl)), complete: false }],
          offers: [{ id: "compatible/sleeper", ...terms }],
        });
  await node.start();
  process.send?.({ url: node.url });
}

// test runners load every file below test/, in processes that are forked too
if (process.argv[1] === import.meta.filename) await main();
