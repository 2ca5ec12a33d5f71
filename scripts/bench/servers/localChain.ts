import { JsonRpcProvider, NonceManager, parseEther, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { deployOpenGradient } from "../../../simulator/chain/deployOpenGradient.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { OPG__factory } from "../../../typechain-types/index.ts";
import { serve, settings } from "../harness/serve.ts";
import { benchPayer, PAYERS_PER_CONTENDER } from "../payments/payers.ts";

/** The chain of a run, with OpenGradient's contracts on it and OPG for the payers of each contender. */
const { contenders } = settings<{ contenders: string[] }>();
const GRANT = parseEther("100000");

const logger = pino({ level: "warn" });
const embedded = new EmbeddedChain({ logger });
await embedded.start();
const chain = await connectChain({ url: embedded.url });
const deployer = embedded.accounts[0]!;
const { contracts } = await deployOpenGradient({ chain, deployerKey: deployer.privateKey });

const provider = new JsonRpcProvider(embedded.url, undefined, { cacheTimeout: -1, polling: false });
const treasury = new NonceManager(new Wallet(deployer.privateKey, provider));
const opg = OPG__factory.connect(contracts.OPG.address, treasury);
for (const contender of contenders) {
  for (let connection = 0; connection < PAYERS_PER_CONTENDER; connection++) {
    await opg.transfer(benchPayer(contender, connection).address, GRANT);
  }
}
provider.destroy();
chain.close();
serve({ url: embedded.url, asset: contracts.OPG.address, settlement: contracts.ProofSettlement.address }, () =>
  embedded.stop(),
);
