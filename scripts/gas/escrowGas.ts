import { ethers, type BaseWallet, type Signer } from "ethers";

import { RECEIPT_TYPES } from "../../simulator/receipts/eip712.ts";
import { domainOf, opgWei, publishModel, registerNode, testKey, type Protocol } from "../../test/support/protocol.ts";
import type { RequestStruct } from "../../typechain-types/escrow/IInferenceEscrow.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

/** A request with the plain values that signing it takes. */
type Request = Omit<RequestStruct, "payer" | "maxFee" | "deadline"> & {
  payer: string;
  maxFee: bigint;
  deadline: number;
};

/** Every function of InferenceEscrow; credits are non-zero, the payer keeps OPG, the whole fee is charged. */
export async function measureEscrow(protocol: Protocol, gas: GasMeter): Promise<void> {
  const { escrow, accounts, owner } = protocol;
  const [payer, operator, modelOwner, relayer] = accounts.slice(10) as [Signer, Signer, Signer, Signer];
  const key = testKey(80);
  await registerNode(protocol, operator, key);
  const modelId = await publishModel(protocol, modelOwner, { price: opgWei("0.5"), royaltyBps: 1_000 });
  let salt = 0;
  const newRequest = async (): Promise<Request> => ({
    payer: await payer.getAddress(),
    operator: await operator.getAddress(),
    modelId,
    inputHash: ethers.id(`input ${++salt}`),
    inputBlobId: ethers.id(`input blob ${salt}`),
    maxFee: opgWei("1.0123456789"),
    deadline: (await tick(protocol)) + 600,
    mode: 0,
    royaltyTo: await modelOwner.getAddress(),
    royaltyBps: 1_000,
    salt: ethers.id(`salt ${salt}`),
  });
  const fulfil = async (request: Request, fee: bigint) => {
    const answer = await signAnswer(protocol, request, key, fee);
    return escrow.connect(relayer).fulfil(request, ...answer);
  };
  const warm = await newRequest();
  await escrow.connect(payer).lock(warm);
  await fulfil(warm, opgWei("0.7"));

  const plain = await newRequest();
  const locked = await gas.measure("InferenceEscrow.lock", escrow.connect(payer).lock(plain));
  const fulfilled = await gas.measure("InferenceEscrow.fulfil", fulfil(plain, plain.maxFee));
  gas.row("escrow.roundtrip", locked + fulfilled);

  const authorised = await newRequest();
  const args = await authorizationFor(protocol, authorised, payer);
  const locked3009 = await gas.measure(
    "InferenceEscrow.lockWithAuthorization",
    escrow.connect(relayer).lockWithAuthorization(authorised, ...args),
  );
  const fulfilled3009 = await gas.measure(
    "InferenceEscrow.fulfil (locked by authorization)",
    fulfil(authorised, authorised.maxFee),
  );
  gas.row("escrow.roundtrip3009", locked3009 + fulfilled3009);

  const part = await newRequest();
  await escrow.connect(payer).lock(part);
  await gas.measure("InferenceEscrow.fulfil (part of the fee)", fulfil(part, opgWei("0.6")));

  const late = await newRequest();
  await escrow.connect(payer).lock(late);
  await tick(protocol, 601);
  await gas.measure("InferenceEscrow.refund", escrow.refund(late));
  await gas.measure("InferenceEscrow.claim", escrow.connect(operator).claim(operator));
  await gas.measure("InferenceEscrow.sweepProtocolCredit", escrow.sweepProtocolCredit(owner));
  await gas.measure("InferenceEscrow.transferOwnership", escrow.transferOwnership(relayer));
  await gas.measure("InferenceEscrow.acceptOwnership", escrow.connect(relayer).acceptOwnership());
  await gas.measure("InferenceEscrow.renounceOwnership", escrow.connect(relayer).renounceOwnership());
}

async function signAnswer(
  protocol: Protocol,
  request: Request,
  key: BaseWallet,
  fee: bigint,
): Promise<[string, string, bigint, number, { r: string; vs: string }]> {
  const { escrow, settlement } = protocol;
  const outputHash = ethers.id("output");
  const servedAt = await tick(protocol);
  const receipt = {
    requestId: await escrow.requestIdOf(request),
    modelId: request.modelId,
    mode: request.mode,
    inputHash: request.inputHash,
    outputHash,
    payer: request.payer,
    fee,
    servedAt,
  };
  const signature = ethers.Signature.from(await key.signTypedData(await domainOf(settlement), RECEIPT_TYPES, receipt));
  return [outputHash, ethers.id("output blob"), fee, servedAt, { r: signature.r, vs: signature.yParityAndS }];
}

async function authorizationFor(
  { escrow, opg }: Protocol,
  request: Request,
  payer: Signer,
): Promise<[number, number, number, string, string]> {
  const [validAfter, validBefore] = [0, request.deadline];
  const signature = ethers.Signature.from(
    await payer.signTypedData(
      await domainOf(opg),
      {
        ReceiveWithAuthorization: [
          { type: "address", name: "from" },
          { type: "address", name: "to" },
          { type: "uint256", name: "value" },
          { type: "uint256", name: "validAfter" },
          { type: "uint256", name: "validBefore" },
          { type: "bytes32", name: "nonce" },
        ],
      },
      {
        from: request.payer,
        to: await escrow.getAddress(),
        value: request.maxFee,
        validAfter,
        validBefore,
        nonce: await escrow.requestIdOf(request),
      },
    ),
  );
  return [validAfter, validBefore, signature.v, signature.r, signature.s];
}
