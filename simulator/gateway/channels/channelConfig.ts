import { putUint, putWord } from "../../receipts/bytes.ts";
import { EncodingError } from "../../receipts/bytes.ts";
import { keccak256, keccakBytes } from "../../receipts/keccak.ts";
import type { Hex } from "../../receipts/types.ts";

/** x402's contract that holds all channels, the same address on every chain. */
export const BATCH_SETTLEMENT: Hex = "0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003";
export const SCHEME = "batch-settlement";
export const NOBODY: Hex = `0x${"00".repeat(20)}`;

/** Who may pay whom through a channel. Its EIP-712 hash is the channel's id. Letters of addresses are lower case. */
export interface ChannelConfig {
  payer: Hex;
  /** Signs vouchers; zero: the payer, which is a contract. */
  payerAuthorizer: Hex;
  receiver: Hex;
  /** Signs claims and refunds for the receiver. */
  receiverAuthorizer: Hex;
  token: Hex;
  /** Seconds from the payer's asking for its money to its getting it. */
  withdrawDelay: number;
  /** 32 bytes: tells channels of the same parties apart. */
  salt: Hex;
}

const text = (value: string): Uint8Array => keccakBytes(Buffer.from(value));

/** A message's preimage, its type in place; what follows is overwritten on every use, which runs to completion synchronously. */
class TypedMessage {
  readonly words: Buffer;
  readonly #outer = Buffer.alloc(66);

  constructor(separator: Uint8Array, type: string, words: number) {
    this.words = Buffer.alloc(32 * (words + 1));
    this.words.set(text(type));
    this.#outer.set([0x19, 0x01]);
    this.#outer.set(separator, 2);
  }

  digest(): Hex {
    this.#outer.set(keccakBytes(this.words), 34);
    return keccak256(this.#outer);
  }
}

/** The EIP-712 hashes of x402's channels on one chain, with everything hashed beforehand that does not change. */
export class ChannelHasher {
  readonly #voucher: TypedMessage;
  readonly #config: TypedMessage;

  constructor(chainId: bigint) {
    const domain = Buffer.alloc(160);
    domain.set(text("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"));
    domain.set(text("x402 Batch Settlement"), 32);
    domain.set(text("1"), 64);
    putUint(domain, 96, chainId, 128);
    putWord(domain, 128, BATCH_SETTLEMENT, 20);
    const separator = keccakBytes(domain);
    this.#voucher = new TypedMessage(separator, "Voucher(bytes32 channelId,uint128 maxClaimableAmount)", 2);
    this.#config = new TypedMessage(
      separator,
      "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)",
      7,
    );
  }

  /** What a payer signs to pay `maxClaimableAmount` wei, of all that was ever paid through the channel. */
  voucher(channelId: Hex, maxClaimableAmount: bigint): Hex {
    putWord(this.#voucher.words, 32, channelId, 32);
    putUint(this.#voucher.words, 64, maxClaimableAmount, 128);
    return this.#voucher.digest();
  }

  channelId(config: ChannelConfig): Hex {
    const { words } = this.#config;
    putWord(words, 32, config.payer, 20);
    putWord(words, 64, config.payerAuthorizer, 20);
    putWord(words, 96, config.receiver, 20);
    putWord(words, 128, config.receiverAuthorizer, 20);
    putWord(words, 160, config.token, 20);
    if (config.withdrawDelay >= 2 ** 40) throw new EncodingError("Expected a delay of 40 bits");
    putUint(words, 192, config.withdrawDelay, 40);
    putWord(words, 224, config.salt, 32);
    return this.#config.digest();
  }
}

/** Whether two say the same. */
export function sameConfig(known: ChannelConfig, other: ChannelConfig): boolean {
  return (
    known.payer === other.payer &&
    known.payerAuthorizer === other.payerAuthorizer &&
    known.receiver === other.receiver &&
    known.receiverAuthorizer === other.receiverAuthorizer &&
    known.token === other.token &&
    known.withdrawDelay === other.withdrawDelay &&
    known.salt === other.salt
  );
}
