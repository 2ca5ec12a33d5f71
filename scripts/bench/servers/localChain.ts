import { PERMIT2_ADDRESS } from "@x402/evm";
import { JsonRpcProvider, MaxUint256, NonceManager, parseEther, Signature, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { deployOpenGradient } from "../../../simulator/chain/deployOpenGradient.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { installLocalX402 } from "../../../simulator/chain/x402/installLocalX402.ts";
import { OPG__factory } from "../../../typechain-types/index.ts";
import { serve, settings } from "../harness/serve.ts";
import { benchPayer, type BenchPayer, PAYERS_PER_CONTENDER } from "../payments/payers.ts";

/** The chain of a run, with OpenGradient's contracts on it and OPG for the payers of each contender. */
const { contenders } = settings<{ contenders: string[] }>();
const GRANT = parseEther("100000");
const PERMIT_TYPES = {
  Permit: ["address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline"].map((field) => {
    const [type, name] = field.split(" ") as [string, string];
    return { name, type };
  }),
};

const logger = pino({ level: "warn" });
const embedded = new EmbeddedChain({ logger });
await embedded.start();
const chain = await connectChain({ url: embedded.url });
await installLocalX402(chain);
const deployer = embedded.accounts[0]!;
const { contracts } = await deployOpenGradient({ chain, deployerKey: deployer.privateKey });

const provider = new JsonRpcProvider(embedded.url, undefined, { cacheTimeout: -1, polling: false });
const treasury = new NonceManager(new Wallet(deployer.privateKey, provider));
const opg = OPG__factory.connect(contracts.OPG.address, treasury);
const token = { name: "OpenGradient", version: "1", chainId: chain.chainId, verifyingContract: contracts.OPG.address };

/** OPG for a payer, and by its permit leave for Permit2 to take it, so that payers need no gas. */
async function endow({ address, privateKey }: BenchPayer): Promise<void> {
  await opg.transfer(address, GRANT);
  const permit = { owner: address, spender: PERMIT2_ADDRESS, value: MaxUint256, nonce: 0n, deadline: MaxUint256 };
  const signature = await new Wallet(privateKey).signTypedData(token, PERMIT_TYPES, permit);
  const { v, r, s } = Signature.from(signature);
  await opg.permit(address, PERMIT2_ADDRESS, MaxUint256, MaxUint256, v, r, s);
}

for (const contender of contenders) {
  for (let connection = 0; connection < PAYERS_PER_CONTENDER; connection++)
    await endow(benchPayer(contender, connection));
}
provider.destroy();
chain.close();
serve({ url: embedded.url, asset: contracts.OPG.address, settlement: contracts.ProofSettlement.address }, () =>
  embedded.stop(),
);
