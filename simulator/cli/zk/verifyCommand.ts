import { Command } from "commander";

import { ZkmlVerifier__factory } from "../../../typechain-types/index.ts";
import { contextSignal } from "../../zkml/context.ts";
import { type G1Point, samePoint } from "../../zkml/curve.ts";
import { unpackInputs } from "../../zkml/packing.ts";
import { verifyProof } from "../../zkml/verifyProof.ts";
import { type ChainOptions, deploymentOption, rpcOption, withChain } from "./chainAccess.ts";
import { readModelFile } from "./loadModel.ts";
import { jsonOption, pointOption } from "./options.ts";
import { isUnbound, outputsOf } from "./proveCommand.ts";
import { type ProofFile, readProofFile } from "./proofFile.ts";
import { keyOfDigest, type Workspace, withWorkspace } from "./workspace.ts";

interface VerifyOptions extends Partial<ChainOptions> {
  model?: string;
  commitment?: G1Point;
  json?: true;
}

/** What a proof was found to be. */
interface Verdict {
  valid: boolean;
  /** What it was checked against, and what that leaves open. */
  checked: string[];
  reason?: string;
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("Checks a proof; exit code 1 when it does not hold. Needs no chain, unless --rpc asks one.")
    .argument("<proof>", "file that zk prove wrote")
    .option("--model <file>", "model file, whose commitment the proof's has to be")
    .option("--commitment <x,y>", "commitment that the proof's has to be", pointOption)
    .addOption(rpcOption())
    .addOption(deploymentOption())
    .addOption(jsonOption())
    .addHelpText("after", "\nWith --rpc the chain's ZkmlVerifier judges, by the commitment that is registered there.")
    .action(verify);
}

async function verify(file: string, options: VerifyOptions): Promise<void> {
  const proof = await readProofFile(file);
  const verdict = await (options.rpc === undefined
    ? withWorkspace((workspace) => verifyAlone(workspace, proof, options))
    : verifyOnChain(proof, { ...options, rpc: options.rpc }));
  if (!verdict.valid) process.exitCode = 1;
  const inputs = verdict.valid ? inputsOf(proof) : [];
  const outputs = verdict.valid ? outputsOf(proof) : [];
  if (options.json)
    return console.log(JSON.stringify({ ...verdict, ...(verdict.valid && { inputs, outputs }) }, null, 2));
  if (!verdict.valid) return console.error(`Refused: ${verdict.reason}`);
  console.log([`Valid: ${outputs.join(", ")} is the answer to ${inputs.join(", ")}`, ...verdict.checked].join("\n"));
}

const inputsOf = ({ shape, inputScales, tensors }: ProofFile): number[] => {
  const lanes = unpackInputs(shape, tensors.inWords);
  return inputScales.map((scale, i) => (lanes[i] as number) / 2 ** scale);
};

async function verifyAlone(
  workspace: Workspace,
  proof: ProofFile,
  { model, commitment }: VerifyOptions,
): Promise<Verdict> {
  const stored = await keyOfDigest(workspace, proof.shape, proof.keyDigest);
  const checked = [
    stored.key.development
      ? "key: development, for which anybody can forge proofs"
      : `key: of a ceremony, digest ${proof.keyDigest}`,
  ];
  const expected: G1Point[] = commitment ? [commitment] : [];
  if (model !== undefined) {
    const loaded = (await readModelFile(model)).model;
    if (loaded.shape !== proof.shape) {
      return {
        valid: false,
        checked,
        reason: `Expected a proof of shape ${loaded.shape.name}, found ${proof.shape.name}`,
      };
    }
    const misfit = layoutFault(loaded, proof);
    if (misfit !== undefined) return { valid: false, checked, reason: misfit };
    expected.push(await workspace.prover.fold(proof.shape, stored.file, loaded.vector));
  }
  const other = expected.find((point) => !samePoint(point, proof.commitment));
  if (other) {
    const reason = `Expected the commitment (${other.join(", ")}), found (${proof.commitment.join(", ")}): it is a proof of another model`;
    return { valid: false, checked, reason };
  }
  const [x, y] = proof.commitment;
  checked.push(
    expected.length > 0
      ? "model: the one that was given"
      : `model: whichever has the commitment ${x},${y}; compare it with --model or --commitment`,
    isUnbound(proof.context)
      ? "request: none, the proof was made for no request"
      : `request: ${proof.context.requestId} of ${proof.context.requester} to model ${proof.context.modelId}, for ${proof.context.consumer} on chain ${proof.context.chainId}`,
  );
  const { inWords, outWords } = proof.tensors;
  const signals = [...outWords, contextSignal(proof.context), ...inWords];
  if (verifyProof(stored.key, proof.commitment, proof.tensors.proof, signals)) return { valid: true, checked };
  return { valid: false, checked, reason: "the proof is none of this model, input, answer and request" };
}

/** Scales are no part of what is proven: with others the same integers would stand for another answer. */
function layoutFault(
  model: Pick<ProofFile, "inputs" | "outputs" | "inputScales" | "outputScale">,
  proof: ProofFile,
): string | undefined {
  const same =
    model.inputs === proof.inputs &&
    model.outputs === proof.outputs &&
    model.outputScale === proof.outputScale &&
    model.inputScales.join() === proof.inputScales.join();
  return same ? undefined : "Expected the sizes and scales of the model, found others in the proof";
}

function verifyOnChain(proof: ProofFile, options: ChainOptions): Promise<Verdict> {
  return withChain(options, async (chain, contracts) => {
    const { chainId, consumer, requestId, modelId, requester } = proof.context;
    const checked = [`chain: ZkmlVerifier ${contracts.ZkmlVerifier.address} on chain ${chain.chainId}`];
    if (chainId !== chain.chainId) {
      return { valid: false, checked, reason: `Expected a proof for chain ${chain.chainId}, found one for ${chainId}` };
    }
    const verifier = ZkmlVerifier__factory.connect(contracts.ZkmlVerifier.address, { provider: chain.provider });
    const { inWords, outWords, proof: points } = proof.tensors;
    const call = verifier.verifyFor.staticCall(consumer, modelId, requestId, requester, [...inWords], [...outWords], {
      a: [...points.a],
      b: [...points.b],
      c: [...points.c],
    });
    const valid = await call.catch(async (error: unknown) => {
      const { contractRevertOf } = await import("../../chain/ContractRevertError.ts");
      throw contractRevertOf(error) ?? error;
    });
    checked.push(`request: ${requestId} of ${requester} to model ${modelId}, for ${consumer}`);
    if (valid) return { valid, checked };
    return {
      valid,
      checked,
      reason: "the chain's verifier says that the proof is none of this model, answer and request",
    };
  });
}
