import { ethers } from "ethers";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import {
  type IEnclaveKeys,
  type TEEInferenceVerifier,
  TEEInferenceVerifier__factory,
} from "../../../typechain-types/index.ts";
import { rsaKey, type RsaKey, signPss } from "../../support/rsaPss.ts";

/** When the enclave was live, unix seconds: from the first, until before the second. */
export const LIVE_FROM = 2_000_000_000n;
export const LIVE_UNTIL = LIVE_FROM + 86_400n;

export const INPUT_HASH = ethers.id("input");
export const OUTPUT_HASH = ethers.id("output");

/** A verifier with one enclave in its registry. */
export interface VerifierWorld {
  connection: NetworkConnection;
  verifier: TEEInferenceVerifier;
  registry: IEnclaveKeys;
  key: RsaKey;
  teeId: string;
  /** Adds a key to the registry. */
  put(spki: Uint8Array): Promise<void>;
  /** Mines a block at a unix second. */
  mineAt(timestamp: bigint): Promise<void>;
  /** The enclave's signature. */
  signed(timestamp: bigint, inputHash?: string, outputHash?: string): Buffer;
}

export async function deployVerifier(): Promise<VerifierWorld> {
  const connection = await network.create({ override: { initialDate: new Date(Number(LIVE_FROM - 1_000n) * 1_000) } });
  const owner = (await connection.ethers.getSigners())[0]!;
  const enclaves = await connection.ethers.deployContract("EnclaveKeys");
  const put = async (spki: Uint8Array): Promise<void> => {
    await enclaves.getFunction("put")(spki, LIVE_FROM, LIVE_UNTIL);
  };
  const key = rsaKey(2048);
  await put(key.spki);
  return {
    connection,
    verifier: await new TEEInferenceVerifier__factory(owner).deploy(enclaves),
    registry: enclaves as unknown as IEnclaveKeys,
    key,
    teeId: ethers.keccak256(key.spki),
    put,
    mineAt: async (timestamp) => {
      await connection.networkHelpers.time.increaseTo(timestamp);
    },
    signed: (timestamp, inputHash = INPUT_HASH, outputHash = OUTPUT_HASH) =>
      signPss(key, messageOf(timestamp, inputHash, outputHash)),
  };
}

/** What an enclave signs, by OpenGradient's rule and not by the contract. */
export const messageOf = (timestamp: bigint, inputHash = INPUT_HASH, outputHash = OUTPUT_HASH): Buffer =>
  Buffer.from(
    ethers.getBytes(
      ethers.solidityPackedKeccak256(["bytes32", "bytes32", "uint256"], [inputHash, outputHash, timestamp]),
    ),
  );
