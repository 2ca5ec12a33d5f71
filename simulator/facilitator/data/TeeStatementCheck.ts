import type { Provider } from "ethers";
import { TEEInferenceVerifier__factory, type TEEInferenceVerifier } from "../../../typechain-types/index.ts";
import { toHex } from "../../receipts/bytes.ts";
import type { Hex } from "../../receipts/types.ts";
import type { DataStatement } from "./DataJobStore.ts";

/** Asks TEEInferenceVerifier whether a registered enclave, live at the time, signed a statement. A call: it costs no gas. */
export class TeeStatementCheck {
  readonly #verifier: TEEInferenceVerifier;

  /** @param verifier TEEInferenceVerifier, ours or OpenGradient's. */
  constructor(provider: Provider, verifier: Hex) {
    this.#verifier = TEEInferenceVerifier__factory.connect(verifier, { provider });
  }

  /** The registry whose enclaves count. @throws when there is no such contract. */
  async registry(): Promise<Hex> {
    return (await this.#verifier.registry()).toLowerCase() as Hex;
  }

  /** @throws when the chain does not answer. */
  isSigned({ teeId, inputHash, outputHash, timestamp, signature }: DataStatement): Promise<boolean> {
    const bytes = toHex(Buffer.from(signature, "base64"));
    return this.#verifier.verifySignatureNoTimestamp(teeId, inputHash, outputHash, timestamp, bytes);
  }
}
