import { expect } from "chai";
import { parseEther, Wallet } from "ethers";
import OpenAI from "openai";
import { pino } from "pino";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { OpenGradientClient, type OpenGradientClientOptions } from "../../../simulator/client/OpenGradientClient.ts";
import { OnChainSignerDirectory } from "../../../simulator/client/SignerDirectory.ts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import type { InferenceNode } from "../../../simulator/nodes/InferenceNode.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { BlobNotFoundError } from "../../../simulator/storage/BlobStore.ts";
import { hexAddress } from "../../support/batches.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { createSettlementWorld, eventually, type SettlementWorld } from "../settlement/settlementWorld.ts";

const FEE = parseEther("0.02");
const TOKEN = "operator-secret";
/** The world's chain is minutes ahead of this machine. */
let aheadSeconds = 0;
const nowSeconds = (): number => Math.floor(Date.now() / 1000) + aheadSeconds;

/** The real contracts, nodes, gateway, facilitator and settler, and the client in front of them. */
describe("OpenGradientClient", () => {
  let world: SettlementWorld;
  let nodes: InferenceNode[];
  let facilitator: Facilitator;
  let gateway: Gateway;
  let payer: Wallet;
  let nodesRegistry: Hex;
  let asset: Hex;
  let ticking: NodeJS.Timeout;
  const clients: OpenGradientClient[] = [];
  const logger = pino({ level: "silent" });

  before(async () => {
    world = await createSettlementWorld();
    await world.chain.provider.send("evm_mine", []);
    // a little behind it: receipts of its future wait
    aheadSeconds = (await latestTimestamp(world)) - Math.ceil(Date.now() / 1000) - 2;
    asset = await hexAddress(world.opg);
    nodesRegistry = await hexAddress(world.nodes);
    const { domain } = world.hasher;
    const common = {
      domain,
      operator: world.operatorAddress,
      payout: world.operatorAddress,
      asset,
      signer: signerFromKey(world.nodeKey.privateKey as Hex),
      store: world.outbox,
      bearerToken: TOKEN,
      logger,
      nowSeconds,
    };
    const offer = { modelId: world.modelId, feeWei: FEE };
    nodes = [
      new LlmProxyNode({ ...common, offers: [{ ...offer, id: LOCAL_TEXT_MODEL_ID }], upstreams: [localUpstream()] }),
      new LocalInferenceNode({
        ...common,
        offers: [{ ...offer, id: LIQUIDATION_RISK_ID, source: LIQUIDATION_RISK_MODEL }],
      }),
    ];
    await Promise.all(nodes.map((node) => node.start()));
    const keys = devAccounts();
    payer = new Wallet(keys[5]!.privateKey);
    facilitator = new Facilitator({
      chain: world.chain,
      signer: new Wallet(keys[15]!.privateKey),
      outboxFile: ":memory:",
      logger,
    });
    await facilitator.start();
    gateway = new Gateway({
      domain,
      asset,
      provider: world.chain.provider,
      rail: facilitator,
      nodes: nodes.map(({ url }) => ({ url, token: TOKEN })),
      storeFile: ":memory:",
      logger,
    });
    await gateway.start();
    await world.settler();
    // time on chain passes with blocks only
    ticking = setInterval(() => void world.chain.provider.send("evm_mine", []), 500);
  });

  after(async () => {
    clearInterval(ticking);
    await Promise.all(clients.map((client) => client.close()));
    await gateway.stop();
    await facilitator.stop();
    await Promise.all(nodes.map((node) => node.stop()));
    await world.close();
  });

  function newClient(changes: Partial<OpenGradientClientOptions> = {}): OpenGradientClient {
    const client = new OpenGradientClient({
      gatewayUrl: gateway.url,
      wallet: payer.privateKey as Hex,
      domain: world.hasher.domain,
      asset,
      maxPaymentWei: FEE,
      signers: new OnChainSignerDirectory(world.chain.provider, nodesRegistry),
      settlement: { chain: world.chain, blobs: world.blobs, fromBlock: 0 },
      nowSeconds,
      ...changes,
    });
    clients.push(client);
    return client;
  }

  const openai = (client: OpenGradientClient): OpenAI =>
    new OpenAI({ baseURL: client.baseUrl, apiKey: "none", maxRetries: 0, fetch: client.fetch });

  const INPUTS = { positions: [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]] };

  it("wholeLoop_chatStreamCompletionAndTensors_areVerifiedPaidAndSettled", async () => {
    const client = newClient();
    const before = await world.opg.balanceOf(world.operatorAddress);
    const messages = [{ role: "user" as const, content: "What is a liquidation?" }];
    const whole = await openai(client).chat.completions.create({
      model: LOCAL_TEXT_MODEL_ID,
      messages,
      max_tokens: 24,
    });
    expect(whole.choices[0]?.message.content).to.have.length.greaterThan(0);
    let text = "";
    for await (const chunk of await openai(client).chat.completions.create({
      model: LOCAL_TEXT_MODEL_ID,
      messages,
      max_tokens: 24,
      stream: true,
    })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).to.have.length.greaterThan(0);
    await openai(client).completions.create({ model: LOCAL_TEXT_MODEL_ID, prompt: "A node is", max_tokens: 8 });
    const { outputs, receipt } = await client.infer(LIQUIDATION_RISK_ID, INPUTS);
    expect((outputs.risk as number[][])[0]?.[0]).to.be.within(0, 1);

    expect(client.receipts).to.have.length(4);
    expect(client.receipts.at(-1)).to.equal(receipt);
    const settled = await Promise.all(
      client.receipts.map(({ requestId }) => client.waitForSettlement(requestId, { timeoutMs: 30_000 })),
    );
    const posted = await world.posted();
    settled.forEach(({ batchId, index, status, header, transaction }, i) => {
      expect(status).to.equal("attested");
      expect(header.operator).to.equal(world.operatorAddress);
      expect(transaction).to.match(/^0x[0-9a-f]{64}$/);
      expect(posted.get(batchId)?.[index]).to.deep.equal(client.receipts[i]!.signed);
    });
    // deposits of the operator are apart from its balance: what came in is what was paid
    await eventually(async () => (await world.opg.balanceOf(world.operatorAddress)) - before === 4n * FEE);
  });

  it("infer_pinnedModel_matchesTheRegistrysId", async () => {
    const client = newClient({ models: { modelIdOf: () => Promise.resolve(world.modelId) } });
    expect((await client.infer(LIQUIDATION_RISK_ID, INPUTS)).receipt.signed.receipt.modelId).to.equal(world.modelId);
  });

  it("infer_badInputs_isTheGatewaysRefusalAndCostsNothing", async () => {
    const client = newClient();
    const owed = gateway.store.outstandingWei(payer.address.toLowerCase() as Hex);
    const error: unknown = await client.infer(LIQUIDATION_RISK_ID, { positions: [[1, 2]] }).catch((e: unknown) => e);
    expect(error).to.include({ name: "GatewayRefusedError", status: 400 });
    expect(gateway.store.outstandingWei(payer.address.toLowerCase() as Hex)).to.be.at.most(owed);
    expect(client.receipts).to.have.length(0);
  });

  it("waitForSettlement_blobWithheldAtFirst_findsItLater", async () => {
    let withheld = true;
    const blobs = {
      put: world.blobs.put.bind(world.blobs),
      has: world.blobs.has.bind(world.blobs),
      get: (id: Hex) => (withheld ? Promise.reject(new BlobNotFoundError(id)) : world.blobs.get(id)),
    };
    const client = newClient({ settlement: { chain: world.chain, blobs, fromBlock: 0 } });
    const { receipt } = await client.infer(LIQUIDATION_RISK_ID, INPUTS);
    const early: unknown = await client
      .waitForSettlement(receipt.requestId, { timeoutMs: 1_500 })
      .catch((e: unknown) => e);
    expect(early).to.include({ code: "settlement_timeout" });
    withheld = false;
    expect((await client.waitForSettlement(receipt.requestId, { timeoutMs: 30_000 })).status).to.equal("attested");
  });

  it("waitForSettlement_unknownRequest_isRefused", async () => {
    const error: unknown = await newClient()
      .waitForSettlement(`0x${"00".repeat(32)}`, { timeoutMs: 10 })
      .catch((e: unknown) => e);
    expect(error).to.include({ code: "unknown_receipt" });
  });

  // last: the key is gone afterwards
  it("infer_afterTheKeyWasRevoked_isRefused", async () => {
    const directory = new OnChainSignerDirectory(world.chain.provider, nodesRegistry, 0);
    const key = world.nodeKey.address.toLowerCase() as Hex;
    const at = (seconds: number): Promise<Hex | undefined> => directory.operatorOf(key, 0, BigInt(seconds));
    const { validFrom } = await world.nodes.signers(key);
    expect(await at(Number(validFrom))).to.equal(world.operatorAddress);
    expect(await at(Number(validFrom) - 1)).to.equal(undefined);
    expect(await directory.operatorOf(key, 2, validFrom)).to.equal(undefined);
    expect(await directory.operatorOf(`0x${"31".repeat(20)}`, 0, validFrom)).to.equal(undefined);

    await (await world.nodes.connect(world.operator).revokeSigner(key)).wait();
    aheadSeconds += 60;
    const client = newClient({ signers: directory });
    const error: unknown = await client.infer(LIQUIDATION_RISK_ID, INPUTS).catch((e: unknown) => e);
    expect(error).to.include({ code: "unknown_signer" });
    expect(await at(Number(validFrom))).to.equal(world.operatorAddress);
  });
});
