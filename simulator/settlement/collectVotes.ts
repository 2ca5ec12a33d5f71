import { z } from "zod";

import { recoverAddress } from "../receipts/secp256k1.ts";
import { batchHeaderToJson, hexSchema, type BatchHeader, type Hex } from "../receipts/types.ts";
import { readLimited } from "../storage/readLimited.ts";

/** A snapshot of the verifier seats; index = seat. Empty seats have no stake. */
export interface VerifierSet {
  signers: readonly Hex[];
  /** Wei of OPG. */
  stakes: readonly bigint[];
  totalStake: bigint;
}

/** Signatures over a digest by seat. */
export type SeatVotes = ReadonlyMap<number, Hex>;

export interface VoteRequest extends VerifierQuestion {
  header: BatchHeader;
}

/** A vote for a model's commitment is asked for. */
export interface CommitmentVoteRequest extends VerifierQuestion {
  modelId: Hex;
  /** The number of `set`. */
  setId: number;
}

interface VerifierQuestion {
  /** What is signed: the batch's id, or the commitment's digest. */
  digest: Hex;
  set: VerifierSet;
  /** Base URLs of verifier nodes. */
  urls: readonly string[];
  timeoutMs: number;
  /** Seats whose votes are on chain already: they count, and are not asked for again. */
  approvals?: bigint;
  signal?: AbortSignal;
}

export interface VoteFailure {
  url: string;
  /** A verifier's own code when it refused, else "unreachable" or "invalid_vote". */
  code: string;
  message: string;
}

export interface CollectedVotes {
  votes: SeatVotes;
  /** Whether the votes and `approvals` hold 2/3 of the set's stake. */
  quorum: boolean;
  failures: VoteFailure[];
}

const voteSchema = z.object({ seat: z.int().min(0).max(255), signature: hexSchema(64) });
const refusalSchema = z.object({ code: z.string(), message: z.string() });

/** Votes and refusals are a few hundred bytes. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** Asks verifiers to approve a batch. */
export const collectVotes = ({ header, ...question }: VoteRequest): Promise<CollectedVotes> =>
  askVerifiers("/votes", { header: batchHeaderToJson(header) }, question);

/** Asks verifiers to approve the commitment of a model. */
export const collectCommitmentVotes = ({
  modelId,
  setId,
  ...question
}: CommitmentVoteRequest): Promise<CollectedVotes> => askVerifiers("/zk/votes", { modelId, setId }, question);

/**
 * Asks all verifiers at once and returns as soon as 2/3 of the stake has approved, or all have answered, or the time is over.
 * Only signatures that the contract will accept count.
 */
async function askVerifiers(path: string, question: object, request: VerifierQuestion): Promise<CollectedVotes> {
  const { set, urls, digest, timeoutMs, approvals = 0n } = request;
  const votes = new Map<number, Hex>();
  const failures: VoteFailure[] = [];
  const enough = new AbortController();
  const signals = [AbortSignal.timeout(timeoutMs), enough.signal, ...(request.signal ? [request.signal] : [])];
  const signal = AbortSignal.any(signals);
  const isQuorum = () => hasQuorum(set, seatBitmap(votes) | approvals);
  const body = JSON.stringify(question);

  const ask = async (url: string): Promise<void> => {
    try {
      const { seat, signature } = await requestVote(new URL(path, url), body, signal);
      const signer = set.signers[seat];
      if (!set.stakes[seat] || !signer || recoverAddress(digest, signature) !== signer) {
        throw new VoteError("invalid_vote", `Expected the vote of seat ${seat}'s signer, found another's`);
      }
      if (((approvals >> BigInt(seat)) & 1n) === 0n) votes.set(seat, signature);
      if (isQuorum()) enough.abort();
    } catch (error) {
      if (enough.signal.aborted) return;
      const code = error instanceof VoteError ? error.code : "unreachable";
      failures.push({ url, code, message: error instanceof Error ? error.message : String(error) });
    }
  };
  await Promise.all(urls.map(ask));
  return { votes, quorum: isQuorum(), failures };
}

/** The contract's rule: 2/3 of the stake of the set, whoever is absent. */
export function hasQuorum(set: VerifierSet, seats: bigint): boolean {
  const approving = set.stakes.reduce(
    (sum, stake, seat) => sum + (((seats >> BigInt(seat)) & 1n) === 1n ? stake : 0n),
    0n,
  );
  return approving > 0n && approving * 3n >= set.totalStake * 2n;
}

export const seatBitmap = (votes: SeatVotes): bigint =>
  [...votes.keys()].reduce((bits, seat) => bits | (1n << BigInt(seat)), 0n);

/** The last two arguments of `submitBatch` and `attest`: a bitmap, and 64 bytes for each bit, lowest seat first. */
export function packVotes(votes: SeatVotes): { seats: bigint; signatures: Hex } {
  const ordered = [...votes].sort(([a], [b]) => a - b);
  return { seats: seatBitmap(votes), signatures: `0x${ordered.map(([, signature]) => signature.slice(2)).join("")}` };
}

class VoteError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

async function requestVote(url: URL, body: string, signal: AbortSignal): Promise<z.infer<typeof voteSchema>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    signal,
  });
  const text = Buffer.from(await readLimited(response, MAX_ANSWER_BYTES)).toString("utf8");
  if (response.ok) return voteSchema.parse(JSON.parse(text));
  const refusal = refusalSchema.safeParse(jsonOrUndefined(text));
  if (refusal.success) throw new VoteError(refusal.data.code, refusal.data.message);
  throw new VoteError("unreachable", `Expected a vote, found status ${response.status}`);
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
