import { z } from "zod";
import { ModelInputError } from "../models/ModelError.ts";
import type { Hex, Mode as ModeType } from "../receipts/types.ts";
import { Mode } from "../receipts/types.ts";
import { answerWords, requestWords } from "../zkml/jsonTensors.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { type ZkDirectory, ZkStatus } from "../zkml/ZkDirectory.ts";
import { ZkRangeError } from "../zkml/ZkError.ts";
import { VerificationError } from "./ClientError.ts";

const zkAnswerSchema = z.looseObject({
  outputs: z.unknown(),
  opengradient: z.looseObject({
    receipt: z.looseObject({ modelId: z.string() }),
    zk: z.looseObject({}),
  }),
});

const MODES: Readonly<Record<string, ModeType>> = { vanilla: Mode.Vanilla, zkml: Mode.Zkml, tee: Mode.Tee };

/** The mode a tensor request asks for; undefined when it leaves it to the node. */
export function modeAskedFor(request: unknown): ModeType | undefined {
  const { data } = z.looseObject({ mode: z.string() }).safeParse(request);
  return data && MODES[data.mode.toLowerCase()];
}

/** The hashes that a receipt has to have, over the words of what was asked and answered. */
export interface WordHashes {
  inputHash: Hex;
  outputHash: Hex;
}

/**
 * What the receipt of a zk model's answer has to say, from the request and the answer themselves, and the model's blob, which the registry
 * commits to.
 * @returns undefined when the answer does not claim to be of a zk model.
 * @throws VerificationError; ZkModelError and ZkFormatError when the version is of none.
 */
export async function zkAnswerHashes(
  directory: ZkDirectory,
  request: { inputs?: unknown },
  answer: unknown,
): Promise<WordHashes | undefined> {
  const { data } = zkAnswerSchema.safeParse(answer);
  if (data === undefined) return undefined;
  const layout = await directory.load(data.opengradient.receipt.modelId as Hex);
  try {
    return {
      inputHash: tensorHash(requestWords(layout, request.inputs)),
      outputHash: tensorHash(answerWords(layout, data.outputs)),
    };
  } catch (error) {
    if (!(error instanceof ZkRangeError || error instanceof ModelInputError)) throw error;
    throw new VerificationError("unreadable_answer", `The answer's tensors are not the model's: ${error.message}`, {
      cause: error,
    });
  }
}

/** @throws VerificationError unless answers of the model can be proven now. */
export async function requireProvable(directory: ZkDirectory, modelId: Hex): Promise<void> {
  const { status } = await directory.registration(modelId);
  if (status === ZkStatus.attested || status === ZkStatus.released) return;
  throw new VerificationError(
    "zk_not_usable",
    `The commitment of version ${modelId} is not attested, or was proven wrong`,
  );
}
