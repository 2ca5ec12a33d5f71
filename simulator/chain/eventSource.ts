import type { Addressable, Interface, Log, Result } from "ethers";

import type { TypedContractEvent } from "../../typechain-types/common.ts";
import type { Hex } from "../receipts/types.ts";

/** Where an event stands in the chain. Plain data, so that it can be stored. */
export interface LogPosition {
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactionHash: string;
  /** Position in its block. */
  readonly logIndex: number;
}

/** A log as a follower keeps it. */
export interface FollowedLog extends LogPosition {
  /** Lower case. */
  readonly address: Hex;
  readonly topics: readonly string[];
  readonly data: string;
}

/** A decoded event, given to its handler. */
export interface FollowedEvent<Args = Result> extends LogPosition {
  readonly name: string;
  readonly address: Hex;
  readonly args: Args;
  /** The chain was reorganised, and this event, handed over before, did not happen. Latest first. */
  readonly removed: boolean;
}

/** One event of one contract and what to do about it. Made by `on`. */
export interface EventSource {
  readonly address: Hex;
  readonly topic: string;
  handle(log: FollowedLog, removed: boolean): Promise<void>;
}

interface TypedContract {
  readonly target: string | Addressable;
  readonly interface: Interface;
  readonly filters: object;
}

/** Arguments of the event `Name` of the typechain contract `Contract`, by name and by position. */
export type EventArgs<Contract extends TypedContract, Name extends keyof Contract["filters"]> =
  Contract["filters"][Name] extends TypedContractEvent<never, infer Output, infer Fields> ? Output & Fields : never;

/**
 * Follows one event of a contract.
 * @example on(settlement, "BatchSubmitted", async ({ args, removed }) => { … args.batchId … })
 * @param handler finishes before the next event is handed over; when it rejects, it gets the same event again.
 */
export function on<Contract extends TypedContract, Name extends keyof Contract["filters"] & string>(
  contract: Contract,
  name: Name,
  handler: (event: FollowedEvent<EventArgs<Contract, Name>>) => Promise<void> | void,
): EventSource {
  if (typeof contract.target !== "string") throw new TypeError("Expected a contract connected to an address");
  const event = contract.interface.getEvent(name);
  if (!event) throw new TypeError(`The contract has no event ${name}`);
  return {
    address: contract.target.toLowerCase() as Hex,
    topic: event.topicHash,
    handle: async ({ topics, data, ...log }, removed) => {
      const args = contract.interface.decodeEventLog(event, data, topics) as unknown as EventArgs<Contract, Name>;
      await handler({ ...log, name, args, removed });
    },
  };
}

/** What is kept of an ethers log. */
export function followedLog(log: Log): FollowedLog {
  return {
    address: log.address.toLowerCase() as Hex,
    topics: [...log.topics],
    data: log.data,
    blockNumber: log.blockNumber,
    blockHash: log.blockHash,
    transactionHash: log.transactionHash,
    logIndex: log.index,
  };
}
