import { NodeRegistry__factory } from "../../typechain-types/index.ts";
import type { Chain } from "../chain/connectChain.ts";
import type { Hex } from "../receipts/types.ts";

/** INodeStaking.Role.Verifier. */
const VERIFIER_ROLE = 2;
const PAGE = 100;

/** Base URLs of all verifier nodes in service, as they registered them. */
export async function registeredVerifiers(chain: Chain, registry: Hex): Promise<string[]> {
  const nodes = NodeRegistry__factory.connect(registry, chain.provider);
  const count = Number(await nodes.nodeCount(VERIFIER_ROLE));
  const urls: string[] = [];
  for (let offset = 0; offset < count; offset += PAGE) {
    const { nodes: page } = await nodes.nodesOf(VERIFIER_ROLE, offset, PAGE);
    for (const { enabled, endpoint } of page) if (enabled && URL.canParse(endpoint)) urls.push(endpoint);
  }
  return urls;
}
