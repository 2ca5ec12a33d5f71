import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

import { ethers, type BaseContract, type Signer } from "ethers";

import { domainOf, opgWei, type Protocol } from "../../test/support/protocol.ts";
import type { OPG } from "../../typechain-types/index.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

const require = createRequire(import.meta.url);
const fields = (...pairs: string[]) =>
  pairs.map((pair) => {
    const [type, name] = pair.split(" ");
    return { type: type!, name: name! };
  });
const TRANSFER = fields(
  "address from",
  "address to",
  "uint256 value",
  "uint256 validAfter",
  "uint256 validBefore",
  "bytes32 nonce",
);

/** Every function of OPG, and OpenZeppelin's bare ERC-3009 token beside it. */
export async function measureToken(protocol: Protocol, gas: GasMeter): Promise<{ anchor: number }> {
  const { opg, accounts } = protocol;
  const [, from, to, spender] = accounts as [Signer, Signer, Signer, Signer];
  await gas.measure("OPG.transfer", opg.connect(from).transfer(to, opgWei(1)));
  await gas.measure("OPG.approve", opg.connect(from).approve(spender, opgWei(5)));
  await gas.measure("OPG.transferFrom", opg.connect(spender).transferFrom(from, to, opgWei(1)));
  await gas.measure("OPG.burnFrom", opg.connect(spender).burnFrom(from, opgWei(1)));
  await gas.measure("OPG.burn", opg.connect(from).burn(opgWei(1)));

  const deadline = ethers.MaxUint256;
  const owner = await from.getAddress();
  const permit = {
    owner,
    spender: await spender.getAddress(),
    value: opgWei(7),
    nonce: await opg.nonces(owner),
    deadline,
  };
  const permitTypes = {
    Permit: fields("address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline"),
  };
  const signed = ethers.Signature.from(await from.signTypedData(await domainOf(opg), permitTypes, permit));
  await gas.measure(
    "OPG.permit",
    opg.permit(owner, permit.spender, permit.value, deadline, signed.v, signed.r, signed.s),
  );

  const authorised = await sendTransferWithAuthorization(protocol, opg, "token", from, to);
  gas.row("opg.transferWithAuthorization", await gas.measure("OPG.transferWithAuthorization", authorised()));
  const received = await authorization(protocol, opg, "ReceiveWithAuthorization", "receive", from, to);
  const { v, r, s } = received.signature;
  await gas.measure(
    "OPG.receiveWithAuthorization",
    opg.connect(to).receiveWithAuthorization(...received.args, v, r, s),
  );
  const nonce = ethers.id("cancel");
  const cancel = ethers.Signature.from(
    await from.signTypedData(
      await domainOf(opg),
      { CancelAuthorization: fields("address authorizer", "bytes32 nonce") },
      { authorizer: owner, nonce },
    ),
  );
  await gas.measure("OPG.cancelAuthorization", opg.cancelAuthorization(owner, nonce, cancel.v, cancel.r, cancel.s));
  return { anchor: await measureBareErc3009(protocol, from, to) };
}

/** The same transfer on a token that is nothing but OpenZeppelin's ERC20 and ERC3009, compiled from the installed package. */
async function measureBareErc3009(protocol: Protocol, from: Signer, to: Signer): Promise<number> {
  const source = `// SPDX-License-Identifier: MIT
    pragma solidity 0.8.37;
    import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
    import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
    import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
    contract Bare is ERC20, ERC3009 {
        constructor() ERC20("OpenGradient", "OPG") EIP712("OpenGradient", "1") { _mint(msg.sender, 1e27); }
    }`;
  const { abi, bytecode } = compile(source, "Bare");
  const bare = (await new ethers.ContractFactory(abi, bytecode, protocol.owner).deploy()) as BaseContract as OPG;
  for (const account of [from, to]) await bare.transfer(account, opgWei(100));
  const receipt = await (await (await sendTransferWithAuthorization(protocol, bare, "token", from, to))()).wait();
  return Number(receipt!.gasUsed);
}

async function sendTransferWithAuthorization(
  protocol: Protocol,
  token: OPG,
  salt: string,
  from: Signer,
  to: Signer,
): Promise<() => ReturnType<OPG["transferWithAuthorization"]>> {
  const { args, signature } = await authorization(protocol, token, "TransferWithAuthorization", salt, from, to);
  return () => token.transferWithAuthorization(...args, signature.v, signature.r, signature.s);
}

type AuthorizationArgs = [string, string, bigint, number, number, string];

async function authorization(
  protocol: Protocol,
  token: OPG,
  primaryType: "TransferWithAuthorization" | "ReceiveWithAuthorization",
  salt: string,
  from: Signer,
  to: Signer,
): Promise<{ args: AuthorizationArgs; signature: ethers.Signature }> {
  const message = {
    from: await from.getAddress(),
    to: await to.getAddress(),
    value: opgWei(2),
    validAfter: 0,
    validBefore: (await tick(protocol)) + 3_600,
    nonce: ethers.id(salt),
  };
  const signature = await from.signTypedData(await domainOf(token), { [primaryType]: TRANSFER }, message);
  return {
    args: [message.from, message.to, message.value, message.validAfter, message.validBefore, message.nonce],
    signature: ethers.Signature.from(signature),
  };
}

interface SolcOutput {
  errors?: { severity: string; formattedMessage: string }[];
  contracts: Record<string, Record<string, { abi: ethers.InterfaceAbi; evm: { bytecode: { object: string } } }>>;
}

/** Compiles one file with the project's compiler and settings, imports from node_modules. */
function compile(source: string, name: string): { abi: ethers.InterfaceAbi; bytecode: string } {
  const solc = require("solc") as {
    compile(input: string, callbacks: { import(path: string): { contents: string } }): string;
  };
  const settings = {
    viaIR: true,
    evmVersion: "osaka",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  };
  const input = JSON.stringify({ language: "Solidity", sources: { "Anchor.sol": { content: source } }, settings });
  const output = JSON.parse(
    solc.compile(input, { import: (path) => ({ contents: readFileSync(require.resolve(path), "utf8") }) }),
  ) as SolcOutput;
  const failure = output.errors?.find((error) => error.severity === "error");
  if (failure) throw new Error(failure.formattedMessage);
  const contract = output.contracts["Anchor.sol"]![name]!;
  return { abi: contract.abi, bytecode: contract.evm.bytecode.object };
}
