import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect } from "chai";
import Fastify, { type FastifyInstance } from "fastify";
import { EnclaveError } from "../../../simulator/client/EnclaveError.ts";
import type { RegisteredEnclave } from "../../../simulator/client/EnclavePolicy.ts";
import { checkFreshAttestation } from "../../../simulator/client/freshAttestation.ts";
import { createPinnedFetch } from "../../../simulator/client/pinnedFetch.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { enclaveRoutes } from "../../../simulator/enclave/enclaveRoutes.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { rejection } from "../../support/rejection.ts";
import { registered, startEnclave, TEST_ROOT } from "./registeredEnclave.ts";

describe("checkFreshAttestation", () => {
  let enclave: Enclave;
  const closers: (() => Promise<void>)[] = [];

  before(async () => {
    enclave = await startEnclave();
  });

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  type Routes = (app: FastifyInstance) => void;

  /** Serves the enclave's TLS identity with these routes, and checks it as `changes` has it registered. */
  async function check(
    routes: Routes,
    changes: Partial<RegisteredEnclave> = {},
    options: { required?: boolean; nowSeconds?: () => number; timeoutMs?: number } = {},
  ): Promise<void> {
    const app = Fastify({ https: enclave.tls }) as unknown as FastifyInstance;
    routes(app);
    const endpoint = await app.listen({ host: "127.0.0.1", port: 0 });
    const pinned = createPinnedFetch({ endpoint, certificate: enclave.tlsCertificateDer });
    closers.push(async () => {
      await pinned.close();
      await app.close();
    });
    const entry = registered(enclave, { endpoint, root: TEST_ROOT, ...changes });
    await checkFreshAttestation(entry, pinned.fetch, { required: true, ...options });
  }

  const honest: Routes = (app) => void app.register(enclaveRoutes(enclave));
  /** Answers with what `document` makes of the nonce. */
  const answering =
    (document: (nonce: Buffer) => Buffer | string): Routes =>
    (app) =>
      void app.get<{ Querystring: { nonce: string } }>("/enclave/attestation", ({ query }) => {
        const made = document(Buffer.from(query.nonce, "hex"));
        return typeof made === "string" ? made : made.toString("base64");
      });

  async function refused(code: string, work: Promise<void>): Promise<void> {
    const error = await rejection(work);
    expect(error, String(error)).to.be.instanceOf(EnclaveError);
    expect(error).to.include({ code });
  }

  it("documentOfTheRegisteredEnclave_isAccepted", () => check(honest));

  it("nonce_isThirtyTwoBytes_andNeverTheSame", async () => {
    const nonces: string[] = [];
    const routes = answering((nonce) => {
      nonces.push(nonce.toString("hex"));
      return enclave.attest(nonce);
    });
    await check(routes);
    await check(routes);
    expect(nonces.map((nonce) => nonce.length)).to.deep.equal([64, 64]);
    expect(nonces[0]).to.not.equal(nonces[1]);
  });

  it("documentForAnotherNonce_isRefused", async () => {
    await refused("nonce_mismatch", check(answering(() => enclave.attest(randomBytes(32)))));
    await refused("nonce_mismatch", check(answering(() => enclave.attest())));
    await refused("nonce_mismatch", check(answering((nonce) => enclave.attest(nonce.subarray(0, 31)))));
  });

  it("documentOfAnotherImage_isRefused", async () => {
    await refused("image_mismatch", check(honest, { pcrHash: keccak256("the registered image") }));
  });

  it("documentOfAnEnclaveInDebugMode_isRefused", async () => {
    const debugged = await startEnclave({ debug: true });
    await refused("attestation_invalid", check(answering((nonce) => debugged.attest(nonce))));
  });

  it("documentOfAnotherEnclaveOfTheSameImage_isRefused", async () => {
    const other = await startEnclave();
    await refused("key_mismatch", check(answering((nonce) => other.attest(nonce))));
  });

  it("eachKeyThatDiffers_isRefused", async () => {
    const other = await startEnclave();
    for (const changes of [
      { key: other.signer.address },
      { sealingKey: other.sealingPublicKey },
      { tlsCertificate: other.tlsCertificateDer },
      { signingKey: other.publicKeyDer },
    ]) {
      await refused("key_mismatch", check(honest, changes));
    }
  });

  it("rootOtherThanTheOneThatVouched_isRefused", async () => {
    await refused("attestation_invalid", check(honest, { root: keccak256("another root") }));
  });

  it("chainUnderAnotherRootBehindTheRightOne_isRefused", async () => {
    // the right root's certificate in front of a chain whose issuer has another key
    const keys = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const chain = new CertificateChain({ ...testRoot(), keys });
    const stranger = await startEnclave({ authorities: chain });
    await refused("attestation_invalid", check(answering((nonce) => stranger.attest(nonce))));
  });

  it("alteredDocument_isRefused", async () => {
    const routes = answering((nonce) => {
      const document = enclave.attest(nonce);
      document[document.length - 1]! ^= 1;
      return document;
    });
    await refused("attestation_invalid", check(routes));
  });

  it("documentOfAnotherTime_isRefused", async () => {
    const system = (): number => Math.floor(Date.now() / 1000);
    for (const seconds of [310, -310]) {
      await refused("attestation_invalid", check(honest, {}, { nowSeconds: () => system() + seconds }));
    }
    for (const seconds of [290, -290]) await check(honest, {}, { nowSeconds: () => system() + seconds });
  });

  it("answerThatIsNoDocument_isRefused", async () => {
    await refused("attestation_invalid", check(answering(() => "no document!")));
    await refused("attestation_invalid", check(answering(() => "")));
    await refused("attestation_invalid", check(answering(() => Buffer.alloc(100_000))));
    await refused(
      "attestation_missing",
      check((app) => void app.get("/enclave/attestation", (_request, reply) => reply.code(500).send("down"))),
    );
  });

  it("endpointWithoutDocuments_isRefusedOnlyWhenTheyAreRequired", async () => {
    const none: Routes = () => undefined;
    await refused("attestation_missing", check(none));
    await check(none, {}, { required: false });
  });

  it("endpointThatNeverAnswers_isGivenUp", async () => {
    const silent: Routes = (app) => void app.get("/enclave/attestation", () => new Promise(() => undefined));
    await refused("unreachable", check(silent, {}, { timeoutMs: 50 }));
  });
});
