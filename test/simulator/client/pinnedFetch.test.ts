import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect } from "chai";
import { EnclaveError } from "../../../simulator/client/EnclaveError.ts";
import { createPinnedFetch, type PinnedFetch, type PinnedFetchOptions } from "../../../simulator/client/pinnedFetch.ts";
import { rejection } from "../../support/rejection.ts";
import { testCertificate, type TestCertificate } from "../../support/tlsCertificates.ts";

describe("createPinnedFetch", () => {
  let attested: TestCertificate;
  const closers: (() => Promise<void>)[] = [];

  before(async () => {
    attested = await testCertificate();
  });

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  /** An HTTPS server that counts what reaches it. */
  class Peer {
    readonly server: Server;
    bytes = 0;
    readonly sockets = new Set<TLSSocket>();
    readonly resumed: boolean[] = [];

    constructor(tls: ServerOptions) {
      this.server = createServer(tls, (request, response) => {
        if (request.url === "/away") response.writeHead(302, { location: "https://127.0.0.1:1/" }).end();
        else request.pipe(response.setHeader("x-method", request.method ?? ""));
      });
      this.server.on("secureConnection", (socket: TLSSocket) => {
        this.sockets.add(socket);
        this.resumed.push(socket.isSessionReused());
        socket.on("data", (data: Buffer) => (this.bytes += data.length));
      });
    }

    get url(): string {
      return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    }
  }

  async function listen(tls: ServerOptions): Promise<Peer> {
    const peer = new Peer(tls);
    peer.server.listen(0, "127.0.0.1");
    await once(peer.server, "listening");
    closers.push(async () => {
      peer.server.closeAllConnections();
      peer.server.close();
      await once(peer.server, "close");
    });
    return peer;
  }

  function pin(endpoint: string, options: Partial<PinnedFetchOptions> = {}): PinnedFetch {
    const pinned = createPinnedFetch({ endpoint, certificate: attested.der, ...options });
    closers.push(() => pinned.close());
    return pinned;
  }

  const post = (pinned: PinnedFetch, url: string, body = "secret"): Promise<Response> =>
    pinned.fetch(url, { method: "POST", body });

  async function refused(work: Promise<unknown>, code: string): Promise<void> {
    const error = await rejection(work);
    expect(error, String(error)).to.be.instanceOf(EnclaveError);
    expect(error).to.include({ code });
  }

  it("attestedCertificate_isTalkedTo", async () => {
    const peer = await listen(attested);
    const response = await post(pin(peer.url), `${peer.url}/x`, "Grüße");
    expect(response).to.be.instanceOf(Response);
    expect(await response.text()).to.equal("Grüße");
    expect(response.headers.get("x-method")).to.equal("POST");
  });

  it("tls12And13_areSpoken_older_isNot", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const peer = await listen({ ...attested, minVersion: version, maxVersion: version });
      expect((await post(pin(peer.url), peer.url)).status).to.equal(200);
      expect([...peer.sockets][0]!.getProtocol()).to.equal(version);
    }
    const old = await listen({ ...attested, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" });
    await refused(post(pin(old.url), old.url), "unreachable");
    expect(old.bytes).to.equal(0);
  });

  it("certificatePastItsDates_isAccepted_sinceTheAttestationCounts", async () => {
    const day = 86_400_000;
    for (const [from, to] of [
      [-2 * day, -day],
      [day, 2 * day],
    ] as const) {
      const certificate = await testCertificate({
        notBefore: new Date(Date.now() + from),
        notAfter: new Date(Date.now() + to),
      });
      const peer = await listen(certificate);
      const response = await post(pin(peer.url, { certificate: certificate.der }), peer.url);
      expect(response.status).to.equal(200);
    }
  });

  const strangers: [string, () => Promise<ServerOptions>][] = [
    ["otherCertificateOfTheSameName", () => testCertificate()],
    [
      "otherCertificateOfTheSameKey",
      () => testCertificate({ keys: attested.keys, notAfter: new Date(Date.now() + 10_000_000) }),
    ],
    [
      "certificateIssuedUnderTheAttestedOne",
      async () => {
        const child = await testCertificate({ issuer: attested });
        return { key: child.key, cert: child.cert + attested.cert };
      },
    ],
    [
      "chainThatContainsTheAttestedOne",
      async () => {
        const other = await testCertificate();
        return { key: other.key, cert: other.cert + attested.cert };
      },
    ],
  ];
  for (const [name, identity] of strangers) {
    it(`${name}_isRefusedBeforeAnythingIsSent`, async () => {
      const peer = await listen(await identity());
      const pinned = pin(peer.url);
      await refused(post(pinned, peer.url), "certificate_mismatch");
      await refused(post(pinned, peer.url), "certificate_mismatch");
      expect(peer.bytes).to.equal(0);
    });
  }

  it("peerThatChangesItsCertificate_isRefusedOnTheNextConnection_andSessionsAreNotResumed", async () => {
    const peer = await listen(attested);
    const pinned = pin(peer.url);
    await (await post(pinned, peer.url)).text();
    const drop = async (): Promise<void> => {
      const gone = [...peer.sockets].filter((socket) => !socket.destroyed).map((socket) => once(socket, "close"));
      peer.server.closeAllConnections();
      await Promise.all(gone);
    };
    await drop();
    // the first attempt may still meet the connection that was closed under it
    await post(pinned, peer.url).catch(() => post(pinned, peer.url));
    expect(peer.resumed).to.not.include(true);
    expect(peer.resumed.length).to.be.greaterThan(1);

    peer.server.setSecureContext(await testCertificate());
    await drop();
    const before = peer.bytes;
    await refused(
      post(pinned, peer.url).catch((error: unknown) => {
        if (error instanceof EnclaveError && error.code !== "unreachable") throw error;
        return post(pinned, peer.url);
      }),
      "certificate_mismatch",
    );
    expect(peer.bytes).to.equal(before);
  });

  it("onConnect_runsOncePerConnection_andNothingIsSentBeforeIt", async () => {
    const peer = await listen(attested);
    let calls = 0;
    const bytesBefore: number[] = [];
    const pinned = pin(peer.url, {
      onConnect: () => {
        calls++;
        bytesBefore.push(peer.bytes);
        return Promise.resolve();
      },
    });
    for (let i = 0; i < 3; i++) await (await post(pinned, peer.url)).text();
    expect(calls).to.equal(peer.sockets.size);
    expect(bytesBefore[0]).to.equal(0);
  });

  it("onConnect_thatThrows_endsTheConnectionUnused", async () => {
    const peer = await listen(attested);
    const pinned = pin(peer.url, {
      onConnect: () => Promise.reject(new EnclaveError("nonce_mismatch", "not this one")),
    });
    await refused(post(pinned, peer.url), "nonce_mismatch");
    expect(peer.bytes).to.equal(0);
  });

  it("connectingTakesTooLong_isGivenUp", async () => {
    const peer = await listen(attested);
    const pinned = pin(peer.url, { connectTimeoutMs: 20, onConnect: () => new Promise(() => undefined) });
    await refused(post(pinned, peer.url), "unreachable");
  });

  it("redirect_isNotFollowed", async () => {
    const peer = await listen(attested);
    await refused(post(pin(peer.url), `${peer.url}/away`), "unreachable");
  });

  it("anotherOrigin_isNotTalkedTo", async () => {
    const peer = await listen(attested);
    const other = await listen(attested);
    await refused(post(pin(peer.url), other.url), "insecure_endpoint");
    expect(other.bytes).to.equal(0);
  });

  it("abortedRequest_failsAsAborted", async () => {
    const peer = await listen(attested);
    const error = await rejection(pin(peer.url).fetch(peer.url, { signal: AbortSignal.abort() }));
    expect(error).to.include({ name: "AbortError" });
  });

  it("plainHttp_isRefused_exceptOnThisMachineWhenAllowed", async () => {
    const server = createHttpServer((_request, response) => response.end("plain"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(async () => {
      server.close();
      await once(server, "close");
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const endpoint of [url, "http://example.org", "ftp://127.0.0.1", "127.0.0.1", ""]) {
      expect(() => pin(endpoint), endpoint)
        .to.throw(EnclaveError)
        .with.property("code", "insecure_endpoint");
    }
    expect(() => pin("http://127.0.0.1.example.org", { allowPlainLoopback: true })).to.throw(EnclaveError);
    expect(() => pin("http://localhost.example.org", { allowPlainLoopback: true })).to.throw(EnclaveError);
    expect(await (await pin(url, { allowPlainLoopback: true }).fetch(url)).text()).to.equal("plain");
  });
});
