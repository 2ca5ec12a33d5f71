import { randomBytes } from "node:crypto";

import { type Certificate, issueCertificate } from "./certificate.ts";
import {
  type HostPlace,
  instanceSpec,
  LEAF_LIFETIME,
  PROFILES,
  regionalSpec,
  zonalSpec,
} from "./certificateProfiles.ts";

/** Whence a Nitro Secure Module has the certificates above its own. */
export interface CertificateAuthorities {
  readonly place: HostPlace;
  /** Root first, the issuer of leaf certificates last: a document's `cabundle`. @param now unix seconds. */
  at(now: number): readonly Certificate[];
}

/**
 * The certificate authorities above an enclave's leaf, which all enclaves of one host share. A level is replaced while it still outlives
 * whatever is issued under it, and when the clock was set back before its beginning.
 */
export class CertificateChain implements CertificateAuthorities {
  readonly place: HostPlace;
  readonly #root: Certificate;
  #levels: Certificate[] = [];

  constructor(root: Certificate, place: Partial<HostPlace> = {}) {
    this.#root = root;
    this.place = { region: "us-east-2", instanceId: `i-0${randomBytes(8).toString("hex")}`, ...place };
  }

  /** Root, regional, zonal and instance certificate. */
  at(now: number): readonly Certificate[] {
    const needs = [PROFILES.zonal.lifetime, PROFILES.instance.lifetime, LEAF_LIFETIME];
    const stale = needs.findIndex((seconds, level) => !covers(this.#levels[level], now, seconds));
    if (stale >= 0) {
      // A new authority has a new key, so everything below it is issued anew.
      this.#levels.length = stale;
      for (const specOf of [regionalSpec, zonalSpec, instanceSpec].slice(stale)) {
        this.#levels.push(issueCertificate(specOf(this.#levels.at(-1) ?? this.#root, this.place, now)));
      }
    }
    return [this.#root, ...this.#levels];
  }
}

/** Whether a certificate is valid from `now` for so many seconds more. */
export const covers = (certificate: Certificate | undefined, now: number, seconds: number): boolean =>
  certificate !== undefined && certificate.notBefore <= now && now + seconds <= certificate.notAfter;
