import { fileURLToPath } from "node:url";

import hardhatToolboxMochaEthers from "@nomicfoundation/hardhat-toolbox-mocha-ethers";
import { configVariable, defineConfig } from "hardhat/config";

import { checkedDeploy } from "./ignition/checkedDeploy.ts";
import { sortedArtifacts } from "./scripts/sortedArtifacts.ts";

/** The compiler is the one package-lock.json pins: nothing is downloaded at build time. The path has to be absolute. */
const compiler = (runs: number, viaIR = true) => ({
  version: "0.8.37",
  path: fileURLToPath(import.meta.resolve("solc/soljson.js")),
  settings: {
    viaIR,
    evmVersion: "osaka",
    optimizer: { enabled: true, runs },
    metadata: { bytecodeHash: "none" as const },
  },
});

/** x402's payments by permit go through Permit2, which has one address on every chain because its bytecode is the same on every chain. */
const PERMIT2 = "@uniswap/v4-periphery/lib/permit2/src/Permit2.sol";

/** Settings of its deployment, to the bit: another compiler or setting gives another address. */
const permit2Compiler = {
  version: "0.8.17",
  path: fileURLToPath(import.meta.resolve("solc-0.8.17/soljson.js")),
  settings: {
    viaIR: true,
    optimizer: { enabled: true, runs: 1_000_000 },
    metadata: { bytecodeHash: "none" as const },
  },
};

/** Cheap calls everywhere; three contracts have to mind the 24,576 bytes a contract may have. */
const solidity = {
  compilers: [compiler(1_000_000)],
  overrides: {
    [PERMIT2]: permit2Compiler,
    "contracts/settlement/ProofSettlement.sol": compiler(200),
    "contracts/nodes/NodeRegistry.sol": compiler(800),
    "contracts/models/ModelRegistry.sol": compiler(2_000),
    // its eight working variables stay on the stack only without the IR
    "contracts/attestation/Sha384.sol": compiler(1_000_000, false),
  },
};

/** Base's rules: Osaka opcodes and prices, and the 2^24 gas cap per transaction. */
const simulated = {
  type: "edr-simulated" as const,
  chainType: "l1" as const,
  hardfork: "osaka" as const,
  allowBlocksWithSameTimestamp: true,
};

export default defineConfig({
  plugins: [sortedArtifacts, hardhatToolboxMochaEthers],
  tasks: [checkedDeploy],
  solidity: { npmFilesToBuild: [PERMIT2], profiles: { default: solidity, production: solidity } },
  paths: { tests: { mocha: "./test", solidity: "./test/solidity" } },
  typechain: { outDir: "./typechain-types" },
  networks: {
    default: simulated,
    hardhat: simulated,
    node: simulated,
    localhost: { type: "http", chainType: "l1", url: "http://127.0.0.1:8545" },
    baseSepolia: {
      type: "http",
      chainType: "op",
      chainId: 84532,
      url: configVariable("BASE_SEPOLIA_RPC_URL"),
      accounts: [configVariable("DEPLOYER_PRIVATE_KEY")],
    },
    base: {
      type: "http",
      chainType: "op",
      chainId: 8453,
      url: configVariable("BASE_RPC_URL"),
      accounts: [configVariable("DEPLOYER_PRIVATE_KEY")],
    },
  },
  verify: { etherscan: { apiKey: configVariable("ETHERSCAN_API_KEY") } },
  test: {
    // two files at a time, each in a process of its own: most of them wait for one core
    mocha: { timeout: 120_000, parallel: true, jobs: 2 },
    solidity: { fuzz: { runs: 256, seed: "0x4f5047" }, invariant: { runs: 32, depth: 64 } },
  },
});
