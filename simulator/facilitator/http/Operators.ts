import { createHash, timingSafeEqual } from "node:crypto";
import type { Hex } from "../../receipts/types.ts";

/** Somebody who may use a facilitator, known by a secret. */
export interface Operator {
  /** Shown in usage and logs. */
  name: string;
  /** Sent as `Authorization: Bearer <token>`. */
  token: string;
  /** Who the operator's payments go to. Default: anybody; then it may also report on others' payments. */
  payTo?: readonly Hex[];
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();

/** The operators of a facilitator, found by their tokens in a time that does not depend on how much of a guess is right. */
export class Operators {
  readonly #entries: readonly { operator: Operator; digest: Buffer }[];

  /** @throws RangeError for a token that several share. */
  constructor(operators: readonly Operator[]) {
    this.#entries = operators.map((operator) => ({ operator, digest: digestOf(operator.token) }));
    if (new Set(operators.map(({ token }) => token)).size < operators.length) {
      throw new RangeError("Expected every operator to have a token of its own");
    }
  }

  get size(): number {
    return this.#entries.length;
  }

  /** @param header `Authorization`. */
  find(header: string | undefined): Operator | undefined {
    const token = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
    if (token === undefined) return undefined;
    const digest = digestOf(token);
    let found: Operator | undefined;
    // every one is compared, so that the time tells nothing of the order either
    for (const { operator, digest: expected } of this.#entries) if (timingSafeEqual(digest, expected)) found = operator;
    return found;
  }
}
