/** A published implementation of the same work. */
export interface Anchor {
  name: string;
  gas: number;
  /** Measured in this run from an installed npm package, or before, from the anchor's own sources. */
  source: "measured" | "dated";
}

/** A kind of work, the best figure known for it elsewhere, and what ours has to stay below. */
export interface AnchorRow {
  key: string;
  work: string;
  /** Gas of the best known implementation; undefined where nobody does it. */
  anchor?: Anchor;
  target: number;
}

/**
 * The table of the design document. Dated figures were measured on 2026-11-20, whole transactions on EDR osaka, from the
 * anchors' own sources in their shipped settings; an anchor that an installed npm package contains is measured in this run.
 */
export const TABLE: readonly AnchorRow[] = [
  {
    key: "attest.cold",
    work: "check an enclave document, nothing remembered",
    anchor: dated("base/nitro-validator, 5 transactions", 42_096_271),
    target: 15_500_000,
  },
  {
    key: "attest.cached",
    work: "same, its chain remembered",
    anchor: dated("base/nitro-validator", 14_140_295),
    target: 4_000_000,
  },
  { key: "attest.register", work: "register an enclave, nothing remembered", target: 16_400_000 },
  { key: "attest.stage", work: "check the costliest certificate of a chain", target: 3_000_000 },
  { key: "settle.256", work: "per receipt: 256 receipts, 4 votes, fees, final", target: 500 },
  { key: "settle.1024", work: "per receipt: 1,024 receipts, 4 votes, fees, final", target: 125 },
  {
    key: "escrow.roundtrip",
    work: "lock, fulfil and pay one request",
    anchor: dated("commerce-payments", 200_862),
    target: 145_000,
  },
  {
    key: "escrow.roundtrip3009",
    work: "same, locked by an ERC-3009 authorization",
    anchor: dated("commerce-payments", 200_862),
    target: 170_000,
  },
  { key: "stake.first", work: "first own stake", anchor: dated("Graph Horizon", 86_325), target: 68_000 },
  { key: "stake.delegate", work: "first delegation to a pool", anchor: dated("Graph Horizon", 86_426), target: 74_000 },
  { key: "stake.undelegate", work: "first undelegation", anchor: dated("Graph Horizon", 235_047), target: 80_000 },
  {
    key: "stake.slash",
    work: "slash with reward and burn, steady",
    anchor: dated("Graph Horizon", 82_173),
    target: 60_000,
  },
  {
    key: "opg.transferWithAuthorization",
    work: "ERC-3009 transfer",
    anchor: { name: "OpenZeppelin", gas: 65_564, source: "measured" },
    target: 66_000,
  },
  {
    key: "dispute.assertAndSettle",
    work: "post a batch and finalise it unchallenged",
    anchor: dated("UMA OOv3", 250_958),
    target: 145_000,
  },
  {
    key: "dispute.challenge",
    work: "prove a leaf wrong and slash",
    anchor: dated("UMA OOv3", 317_399),
    target: 105_000,
  },
  { key: "dispute.challengeVoters", work: "same, four approving voters slashed too", target: 150_000 },
  { key: "dispute.challengeDuplicate", work: "one request in two batches of an operator", target: 120_000 },
  {
    key: "receipt.tee",
    work: "TEE receipt older than a heartbeat, its key looked up; within a call",
    target: 7_000,
  },
  {
    key: "receipt.rsa2048",
    work: "RSA-PSS of 2,048 bits, within a call",
    anchor: dated("solarity", 169_099),
    target: 38_000,
  },
  {
    key: "zk.single",
    work: "one proof of shape S (4 signals), its model looked up",
    anchor: dated("SP1 v6, one program", 246_672),
    target: 255_000,
  },
  { key: "zk.batch16", work: "per proof: 16 proofs of one model", target: 80_000 },
  { key: "zk.batch16Models", work: "per proof: 16 proofs of as many models", target: 90_000 },
  { key: "zk.register", work: "register the commitment of a model", target: 100_000 },
  { key: "zk.accumulate", work: "per entry: recompute a commitment on chain", target: 8_300 },
];

function dated(name: string, gas: number): Anchor {
  return { name, gas, source: "dated" };
}
