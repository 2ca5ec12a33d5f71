import { expect } from "chai";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import { batchHeaderSchema } from "../../../simulator/receipts/types.ts";
import { batchHeader, draftBatch } from "../../../simulator/settlement/buildBatch.ts";
import { collectVotes, hasQuorum, packVotes, type VerifierSet } from "../../../simulator/settlement/collectVotes.ts";
import { bytes32, domain, hasher, operator, signed } from "./receipts.ts";

const seats = [1, 2, 3, 4].map((n) => signerFromKey(bytes32(n)));
const set: VerifierSet = {
  signers: seats.map(({ address }) => address),
  stakes: [100n, 100n, 100n, 0n],
  totalStake: 300n,
};
const models = new Map([[bytes32(2), { owner: operator, royaltyBps: 0 }]]);
const draft = draftBatch({ domain, operator, receipts: [signed()], models });
const header = batchHeader(draft, { blobId: bytes32(9), setId: 1, seen: 0 });
const digest = hasher.batchDigest(header);

describe("collectVotes", () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) server.close().closeAllConnections();
  });

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, "127.0.0.1");
    servers.push(server);
    await new Promise((resolve) => server.once("listening", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Answers with a signature by `signer` for `seat` over whatever header comes. */
  const voter = (seat: number, signer = seats[seat]!) =>
    serve((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        const asked = batchHeaderSchema.parse((JSON.parse(body) as { header: unknown }).header);
        response.end(JSON.stringify({ seat, signature: signer.sign(hasher.batchDigest(asked)) }));
      });
    });
  const refuser = (status: number, body: string) => serve((_request, response) => response.writeHead(status).end(body));
  const silence = () => serve(() => undefined);

  const collect = (urls: string[], timeoutMs = 5_000, approvals?: bigint) =>
    collectVotes({ header, digest, set, urls, timeoutMs, ...(approvals !== undefined && { approvals }) });

  it("packs signatures by seat, lowest first", async () => {
    const { votes, quorum } = await collect(await Promise.all([voter(1), voter(0)]));
    expect(quorum).to.equal(true);
    const packed = packVotes(votes);
    expect(packed.seats).to.equal(0b11n);
    expect(packed.signatures).to.equal(`0x${seats[0]!.sign(digest).slice(2)}${seats[1]!.sign(digest).slice(2)}`);
  });

  it("does not wait for the rest once 2/3 of the stake has approved", async () => {
    const { votes, quorum, failures } = await collect(await Promise.all([voter(0), silence(), voter(2)]), 60_000);
    expect(quorum).to.equal(true);
    expect([...votes.keys()]).to.have.members([0, 2]);
    expect(failures).to.deep.equal([]);
  });

  it("counts only what the contract will count", async () => {
    const { votes, quorum, failures } = await collect(
      await Promise.all([voter(0), voter(1, seats[2]), voter(3), voter(200, seats[0])]),
    );
    expect([...votes.keys()]).to.deep.equal([0]);
    expect(quorum).to.equal(false);
    expect(failures.map(({ code }) => code)).to.deep.equal(["invalid_vote", "invalid_vote", "invalid_vote"]);
  });

  it("one verifier behind several addresses counts once", async () => {
    const { votes, quorum } = await collect(await Promise.all([voter(0), voter(0), voter(0)]));
    expect(votes.size).to.equal(1);
    expect(quorum).to.equal(false);
  });

  it("tells why there is no vote", async () => {
    const urls = await Promise.all([
      refuser(422, JSON.stringify({ code: "duplicate", message: "seen before" })),
      refuser(500, "oops"),
      refuser(200, "not JSON"),
      refuser(200, "x".repeat(100_000)),
      silence(),
    ]);
    const { failures, quorum } = await collect([...urls, "http://127.0.0.1:1"], 200);
    expect(quorum).to.equal(false);
    expect(new Map(failures.map(({ url, code }) => [urls.indexOf(url), code]))).to.deep.equal(
      new Map([
        [0, "duplicate"],
        [1, "unreachable"],
        [2, "unreachable"],
        [3, "unreachable"],
        [4, "unreachable"],
        [-1, "unreachable"],
      ]),
    );
  });

  it("adds to the votes that are on chain", async () => {
    const { votes, quorum } = await collect([await voter(1), await voter(0)], 5_000, 0b001n);
    expect(quorum).to.equal(true);
    expect([...votes.keys()], "seat 0 is there already").to.deep.equal([1]);
  });

  it("hasQuorum is the contract's rule", () => {
    const stakes = [200n, 99n, 1n];
    const weighed: VerifierSet = { signers: set.signers.slice(0, 3), stakes, totalStake: 300n };
    expect(hasQuorum(weighed, 0b001n), "exactly 2/3").to.equal(true);
    expect(hasQuorum(weighed, 0b110n)).to.equal(false);
    expect(hasQuorum(weighed, 0n)).to.equal(false);
    expect(hasQuorum({ signers: [], stakes: [], totalStake: 0n }, 0n), "an empty set approves nothing").to.equal(false);
  });
});
