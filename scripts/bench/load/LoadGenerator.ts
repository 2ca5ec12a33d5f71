import { connect, type Socket } from "node:net";
import { ResponseReader } from "./ResponseReader.ts";

/** One connection's part of a slice. */
export interface Lane {
  /** Sent one after the other, each when the one before is answered. */
  requests: readonly Buffer[];
  /** Begins again at the end, for requests that may come twice. Default: a lane that runs out stops. */
  repeat?: boolean;
}

export interface Slice {
  /** Base URL. */
  url: string;
  lanes: readonly Lane[];
  seconds: number;
}

export interface SliceResult {
  /** Of answers with 200 that came within the slice, in ms, ascending. */
  latenciesMs: Float64Array;
  /** From the first request to the end of the slice. */
  seconds: number;
  /** Requests each lane sent; all of them are answered. */
  sent: number[];
  /** Answers other than 200, those after the slice included. */
  failed: number;
  /** Lanes whose requests did not last. */
  exhausted: number;
  /** Head and body of the first answer other than 200. */
  firstFailure?: string;
}

const READ_BYTES = 64 * 1024;
const DRAIN_MS = 10_000;
const NO_ANSWER = "no answer";

/**
 * Keeps one request under way per lane, each lane on a connection of its own. Raw sockets and requests made before: Node's HTTP clients
 * take longer than the servers measured here.
 */
export async function runSlice({ url, lanes, seconds }: Slice): Promise<SliceResult> {
  const { hostname, port } = new URL(url);
  const latencies: number[] = [];
  const sent = lanes.map(() => 0);
  let [failed, exhausted] = [0, 0];
  let firstFailure: string | undefined;
  let endsAt = Infinity;

  const fail = (text: string): void => {
    failed++;
    firstFailure ??= text;
  };

  const sockets: Socket[] = [];
  const starts: (() => void)[] = [];
  const drive = ({ requests, repeat = false }: Lane, index: number): Promise<void> =>
    new Promise((resolve) => {
      const reader = new ResponseReader();
      let sentAt = 0;
      let waiting = false;
      const next = (): void => {
        const position = sent[index]!;
        if (position >= requests.length && !repeat) {
          exhausted++;
          return resolve();
        }
        sent[index] = position + 1;
        waiting = true;
        sentAt = performance.now();
        socket.write(requests[position % requests.length]!);
      };
      const onBytes = (length: number, bytes: Uint8Array): boolean => {
        const answer = reader.push(Buffer.from(bytes.buffer, bytes.byteOffset, length));
        if (answer === undefined) return true;
        const now = performance.now();
        waiting = false;
        if (answer.status !== 200) fail(answer.bytes.toString());
        else if (now <= endsAt) latencies.push(now - sentAt);
        if (now < endsAt) next();
        else resolve();
        return true;
      };
      const socket = connect({
        host: hostname,
        port: Number(port),
        noDelay: true,
        onread: { buffer: Buffer.allocUnsafe(READ_BYTES), callback: onBytes },
      });
      const gone = (): void => {
        if (waiting) fail(NO_ANSWER);
        waiting = false;
        resolve();
      };
      socket.on("error", gone).on("close", gone);
      sockets.push(socket);
      starts.push(next);
    });

  const lanesDone = lanes.map(drive);
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  const startedAt = performance.now();
  endsAt = startedAt + seconds * 1_000;
  for (const start of starts) start();
  const deadline = setTimeout(() => sockets.forEach((socket) => socket.destroy()), seconds * 1_000 + DRAIN_MS);
  await Promise.all(lanesDone);
  clearTimeout(deadline);
  const tookSeconds = exhausted > 0 ? (performance.now() - startedAt) / 1_000 : seconds;
  for (const socket of sockets) socket.destroy();
  return {
    latenciesMs: Float64Array.from(latencies).sort(),
    seconds: Math.min(seconds, tookSeconds),
    sent,
    failed,
    exhausted,
    ...(firstFailure !== undefined && { firstFailure }),
  };
}

/** @param ascending sorted numbers. @returns NaN when there are none. */
export const quantile = (ascending: Float64Array, share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? NaN;
