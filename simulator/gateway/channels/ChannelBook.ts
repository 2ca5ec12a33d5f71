import type { Hex } from "../../receipts/types.ts";
import { Channel, type ChainState } from "./Channel.ts";
import { sameConfig, type ChannelConfig, type ChannelHasher } from "./channelConfig.ts";
import { channelUncheckable, ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import type { ChannelStore } from "./ChannelStore.ts";

/** Reads channels from the chain. */
export type ReadChannels = (channelIds: readonly Hex[]) => Promise<ChainState[]>;

export interface ChannelBookOptions {
  store: ChannelStore;
  hasher: ChannelHasher;
  readChannels: ReadChannels;
  /** How long the chain's state is taken as known. Much less than the withdraw delay. */
  ttlMs: number;
}

/** Every channel this gateway has heard of, in memory. Nobody else writes to them. */
export class ChannelBook<T> {
  readonly #options: ChannelBookOptions;
  readonly #channels = new Map<Hex, Channel<T>>();
  readonly #reading = new Map<Hex, Promise<Channel<T>>>();

  constructor(options: ChannelBookOptions) {
    this.#options = options;
    for (const channel of options.store.load<T>()) this.#channels.set(channel.id, channel);
  }

  get(id: Hex): Channel<T> | undefined {
    return this.#channels.get(id);
  }

  all(): Channel<T>[] {
    return [...this.#channels.values()];
  }

  /** Whether what the chain says of it has to be read again before a payment is taken. */
  isStale(channel: Channel<T>): boolean {
    return Date.now() - channel.syncedAtMs > this.#options.ttlMs;
  }

  /** @throws ChannelRefusal when the id is not this configuration's. */
  requireId(id: Hex, config: ChannelConfig): void {
    const known = this.#channels.get(id);
    const same = known === undefined ? this.#options.hasher.channelId(config) === id : sameConfig(known.config, config);
    if (!same) throw new ChannelRefusal(REASONS.channelId);
  }

  /**
   * A channel that was opened elsewhere, or before the books were lost. What the chain has claimed is taken as charged.
   * @throws ChannelRefusal when there is nothing in it; GatewayError 503 when the chain cannot be read.
   */
  adopt(id: Hex, config: ChannelConfig): Promise<Channel<T>> {
    return this.#once(id, async () => {
      const chain = await this.#read(id);
      if (chain.balanceWei === 0n) throw new ChannelRefusal(REASONS.unknown);
      return this.open(id, config, chain);
    });
  }

  /** Reads a channel from the chain again. @throws GatewayError 503 */
  refresh(channel: Channel<T>): Promise<Channel<T>> {
    return this.#once(channel.id, async () => {
      await this.update(channel, await this.#read(channel.id));
      return channel;
    });
  }

  /** Reads many. Chain errors are thrown. */
  async refreshAll(channels: readonly Channel<T>[]): Promise<void> {
    if (channels.length === 0) return;
    const states = await this.#options.readChannels(channels.map(({ id }) => id));
    await Promise.all(channels.map((channel, i) => this.update(channel, states[i]!)));
  }

  /** Takes a channel that the chain has into the books. */
  async open(id: Hex, config: ChannelConfig, chain: ChainState): Promise<Channel<T>> {
    const ledger = { chargedWei: chain.claimedWei, maxClaimableWei: chain.claimedWei, signature: "0x" };
    const channel = new Channel<T>(id, config, chain, ledger, Date.now());
    await this.#options.store.add(channel);
    this.#channels.set(id, channel);
    return channel;
  }

  /** Takes what the chain says of a channel. */
  async update(channel: Channel<T>, chain: ChainState): Promise<void> {
    const { balanceWei, claimedWei, withdrawRequestedAt, refundNonce } = channel.chain;
    channel.chain = chain;
    channel.syncedAtMs = Date.now();
    const same =
      balanceWei === chain.balanceWei &&
      claimedWei === chain.claimedWei &&
      withdrawRequestedAt === chain.withdrawRequestedAt &&
      refundNonce === chain.refundNonce;
    // what memory has is as good as what the disk had
    if (!same) await this.#options.store.sync(channel);
  }

  async #read(id: Hex): Promise<ChainState> {
    try {
      const [state] = await this.#options.readChannels([id]);
      return state!;
    } catch (error) {
      throw channelUncheckable(error);
    }
  }

  #once(id: Hex, read: () => Promise<Channel<T>>): Promise<Channel<T>> {
    const known = this.#reading.get(id);
    if (known !== undefined) return known;
    const reading = read().finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }
}
