import { putUint, putWord } from "../receipts/bytes.ts";
import { domainSeparator } from "../receipts/eip712.ts";
import { keccak256, keccakBytes } from "../receipts/keccak.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import type { G1Point } from "./curve.ts";
import { elementsBE } from "./field.ts";

/** Type table as ethers' `signTypedData` takes it. The domain is the ModelRegistry's. */
export const COMMITMENT_TYPES: { ZkCommitment: { name: string; type: string }[] } = {
  ZkCommitment: [
    { name: "modelId", type: "bytes32" },
    { name: "x", type: "uint256" },
    { name: "y", type: "uint256" },
    { name: "setId", type: "uint32" },
  ],
};

const TYPE_HASH = keccakBytes(Buffer.from("ZkCommitment(bytes32 modelId,uint256 x,uint256 y,uint32 setId)"));

/** What a verifier signs to approve the commitment of a version, for one verifier set. */
export function commitmentDigest(registry: SettlementDomain, modelId: Hex, commitment: G1Point, setId: number): Hex {
  const words = Buffer.alloc(5 * 32);
  words.set(TYPE_HASH);
  putWord(words, 32, modelId, 32);
  words.set(elementsBE(commitment), 64);
  putUint(words, 128, setId, 32);
  const separator = Buffer.from(domainSeparator(registry).slice(2), "hex");
  return keccak256(Buffer.concat([Buffer.from([0x19, 0x01]), separator, keccakBytes(words)]));
}
