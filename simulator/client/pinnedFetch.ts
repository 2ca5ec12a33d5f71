import { isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { Agent, fetch as undiciFetch, type buildConnector } from "undici";
import { EnclaveError } from "./EnclaveError.ts";

export interface PinnedFetchOptions {
  /** `https://host:port`; nothing is sent anywhere else, redirects included. */
  endpoint: string;
  /** The attested certificate, DER. */
  certificate: Uint8Array;
  /** Lets an endpoint on this machine do without TLS. For tests: then nothing is pinned. Default false. */
  allowPlainLoopback?: boolean;
  /** Runs after the certificate is found right and before anything is sent; what it throws ends the connection. */
  onConnect?: () => Promise<void>;
  /** Bound on connecting, `onConnect` included. Default 10,000. */
  connectTimeoutMs?: number;
}

export interface PinnedFetch {
  /** @throws EnclaveError insecure_endpoint, certificate_mismatch, unreachable, and those `onConnect` throws */
  fetch: typeof fetch;
  /** Ends its connections, those in use too. */
  close(): Promise<void>;
}

/**
 * A `fetch` that talks to one TLS key only: a connection is used when the peer's own certificate is, byte for byte, the attested one.
 *
 * The certificate's name, issuer and dates say nothing here: the enclave wrote them itself. What is trusted is the attestation that binds
 * it, and how long that holds the registry says. So a certificate past its date is accepted, and one with the right name, or
 * under the attested one as its issuer, is not. The handshake proves that the peer has the certificate's key; each connection makes a whole one, since a
 * resumed session would not show the certificate again.
 */
export function createPinnedFetch(options: PinnedFetchOptions): PinnedFetch {
  const { certificate, allowPlainLoopback = false, connectTimeoutMs = 10_000, onConnect } = options;
  const endpoint = parseEndpoint(options.endpoint, allowPlainLoopback);
  const plain = endpoint.protocol === "http:";
  const agent = new Agent({
    ...(!plain && { connect: pinningConnector(certificate, connectTimeoutMs, onConnect) }),
    connections: 64,
    keepAliveTimeout: 30_000,
  });

  const pinned = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const { url, method, headers, body, signal } = new Request(input, init);
    if (new URL(url).origin !== endpoint.origin) {
      throw new EnclaveError("insecure_endpoint", `Expected a request to ${endpoint.origin}, found ${url}`);
    }
    const bytes = body === null ? undefined : await new Response(body).arrayBuffer();
    try {
      const response = await undiciFetch(url, {
        method,
        headers: [...headers],
        ...(bytes !== undefined && { body: bytes }),
        signal,
        redirect: "error",
        dispatcher: agent,
      });
      // undici's classes are not the global ones, which others test for
      return new Response(response.body as ReadableStream<Uint8Array> | null, {
        status: response.status,
        statusText: response.statusText,
        headers: [...response.headers],
      });
    } catch (error) {
      // an abort is no TypeError; whatever else happened is wrapped in one
      if (!(error instanceof TypeError)) throw error;
      if (error.cause instanceof EnclaveError) throw error.cause;
      const why = error.cause instanceof Error ? error.cause.message : error.message;
      throw new EnclaveError("unreachable", `${endpoint.origin} was not reached: ${why}`, { cause: error });
    }
  };
  return { fetch: pinned, close: () => agent.destroy() };
}

/** @throws EnclaveError insecure_endpoint */
export function parseEndpoint(text: string, allowPlainLoopback: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plainAllowed = allowPlainLoopback && url !== undefined && isLoopback(url.hostname);
  if (url !== undefined && (url.protocol === "https:" || (url.protocol === "http:" && plainAllowed))) return url;
  throw new EnclaveError("insecure_endpoint", `Expected an https:// endpoint, found "${text}"`);
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."));

function pinningConnector(
  certificate: Uint8Array,
  timeoutMs: number,
  onConnect: PinnedFetchOptions["onConnect"],
): buildConnector.connector {
  return ({ hostname, port, protocol }, callback) => {
    if (protocol !== "https:") {
      callback(new EnclaveError("insecure_endpoint", `Expected TLS, found ${protocol}//${hostname}`), null);
      return;
    }
    const host = hostname.replace(/^\[|\]$/g, "");
    const socket = connect({
      host,
      port: Number(port || 443),
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: ["http/1.1"],
      minVersion: "TLSv1.2",
      // no authority, name or date is asked: `checkPeer` wants the one certificate
      rejectUnauthorized: false,
    });
    let done = false;
    const finish = (error?: Error): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      socket.off("error", finish).off("close", onClose);
      if (error === undefined) {
        callback(null, socket satisfies Socket);
        return;
      }
      // a destroyed socket may still report an error of its own
      socket.on("error", () => undefined).destroy();
      callback(error, null);
    };
    const onClose = (): void => finish(new Error(`${hostname}:${port} closed the connection`));
    const timer = setTimeout(
      () => finish(new EnclaveError("unreachable", `No connection to ${hostname}:${port} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.on("error", finish).on("close", onClose);
    socket.once("secureConnect", () => {
      try {
        checkPeer(socket, certificate);
      } catch (error) {
        finish(error as EnclaveError);
        return;
      }
      Promise.resolve(onConnect?.()).then(
        () => finish(),
        (error: unknown) => finish(error instanceof Error ? error : new Error(String(error))),
      );
    });
  };
}

/** @throws EnclaveError certificate_mismatch */
function checkPeer(socket: TLSSocket, certificate: Uint8Array): void {
  socket.disableRenegotiation();
  const found = socket.getPeerX509Certificate()?.raw;
  if (found === undefined || socket.isSessionReused() || !found.equals(certificate)) {
    throw new EnclaveError("certificate_mismatch", "The TLS peer's certificate is not the one that was attested");
  }
}
