/** `IProofSettlement.Status`. */
export const Status = { None: 0n, Pending: 1n, Attested: 2n, Unchallenged: 3n, Rejected: 4n } as const;

/** `IProofSettlement.Fault`. */
export const Fault = { Receipt: 0n, Duplicate: 1n, NodeTotal: 2n, HeaderTotal: 3n } as const;

/** `IZkReferee.Fault`. */
export const RefereeFault = { ProofMissing: 0n, ProofInvalid: 1n, OutputRefuted: 2n } as const;
