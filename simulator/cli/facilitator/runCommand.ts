import { Command, InvalidArgumentError, Option } from "commander";
import { Wallet } from "ethers";
import { pino } from "pino";
import type { Operator } from "../../facilitator/http/Operators.ts";
import type { Hex } from "../../receipts/types.ts";
import { httpUrl, privateKey, wholeNumber } from "../options.ts";
import { describeStore, openStores, storeUrl, type StoreUrl } from "./paymentStoreUrl.ts";
import { publishingOf } from "./publishing.ts";

/** What `facilitator run` was started with. */
export interface RunOptions {
  rpc: string;
  store: StoreUrl;
  privateKey: Hex;
  host: string;
  port: number;
  operator: Operator[];
  plainToken: Hex[];
  confirmations: number;
  receiverAuthorizerKey?: Hex;
  teeVerifier?: Hex;
  blobs: string;
  aggregator?: string;
  batchSize: number;
  batchSeconds: number;
  heartbeatKey?: Hex;
  json?: true;
  logLevel: string;
}

const DEFAULT_STORE = "sqlite:.data/facilitator/payments.db";

const key = (flags: string, description: string, variable: string): Option =>
  new Option(flags, description).env(variable).argParser(privateKey);

export function runCommand(): Command {
  return new Command("run")
    .description("Serves until Ctrl-C (the default command).")
    .requiredOption("--rpc <url>", "JSON-RPC of the chain that payments are on", httpUrl)
    .addOption(
      key("--private-key <key>", "pays the gas; used by nothing else", "FACILITATOR_PRIVATE_KEY").makeOptionMandatory(),
    )
    .addOption(
      new Option("--store <url>", "sqlite:FILE, or postgres://… for several facilitators")
        .env("FACILITATOR_STORE")
        .argParser(storeUrl)
        .default(storeUrl(DEFAULT_STORE), DEFAULT_STORE),
    )
    .option("--host <address>", "to listen on", "127.0.0.1")
    .option("--port <n>", "to listen on; 0 for any free one", wholeNumber(0, 65_535), 4022)
    .addOption(
      new Option(
        "--operator <name=token>",
        "who may use it, repeated for several; without any, everybody may verify and settle",
      )
        .env("FACILITATOR_OPERATORS")
        .argParser(operators)
        .default([], "none"),
    )
    .addOption(
      new Option("--plain-token <address>", "a token that needs no simulation, as OPG; repeated for several")
        .argParser(addresses)
        .default([], "none"),
    )
    .option("--confirmations <n>", "blocks a payment has to be under", wholeNumber(1, 100), 1)
    .addOption(
      key(
        "--receiver-authorizer-key <key>",
        "claims and refunds channels that name it; needs --operator",
        "FACILITATOR_RECEIVER_AUTHORIZER_KEY",
      ),
    )
    .option("--tee-verifier <address>", "TEEInferenceVerifier: serves /settle_data and /usage", address)
    .option(
      "--blobs <place>",
      "where reported answers go: a folder, or a Walrus publisher's URL",
      ".data/facilitator/blobs",
    )
    .option("--aggregator <url>", "Walrus aggregator, when --blobs is a publisher", httpUrl)
    .option("--batch-size <n>", "reported answers per blob", wholeNumber(1, 10_000), 20)
    .option("--batch-seconds <n>", "a blob that is not full is published after so long", wholeNumber(1, 86_400), 300)
    .addOption(
      key(
        "--heartbeat-key <key>",
        "pays for heartbeats: serves /heartbeat; needs --tee-verifier, whose registry it is for",
        "HEARTBEAT_RELAY_EVM_PRIVATE_KEY",
      ),
    )
    .option("--json", "print where it listens as one line of JSON")
    .option("--log-level <level>", "on stderr: trace, debug, info, warn, error, silent", "info")
    .action(run);
}

async function run(options: RunOptions): Promise<void> {
  requireConsistent(options);
  // Loaded here, because it is a second's work that --help need not wait for.
  const { connectChain } = await import("../../chain/connectChain.ts");
  const { Facilitator } = await import("../../facilitator/Facilitator.ts");
  const { FacilitatorServer } = await import("../../facilitator/http/FacilitatorServer.ts");
  const logger = pino({ level: options.logLevel }, pino.destination(2));
  const { rpc, store, confirmations, host, port, operator, plainToken, receiverAuthorizerKey } = options;
  const chain = await connectChain({ url: rpc });
  const { payments, data } = await openStores(store, logger);
  const signer = new Wallet(options.privateKey);
  const facilitator = new Facilitator({
    chain,
    signer,
    outboxFile: payments,
    logger,
    confirmations,
    plainTokens: plainToken,
    ...(receiverAuthorizerKey !== undefined && { receiverAuthorizer: new Wallet(receiverAuthorizerKey) }),
  });
  const publishing = await publishingOf(options, { chain, jobs: data, logger });
  const server = new FacilitatorServer({
    facilitator,
    logger,
    host,
    port,
    operators: operator,
    ...(publishing && { data: publishing }),
  });
  await facilitator.start();
  await server.start();
  const { network } = facilitator;
  const about = {
    url: server.url,
    network,
    account: signer.address,
    store: describeStore(store),
    operators: operator.map(({ name }) => name),
  };
  console.log(
    options.json
      ? JSON.stringify(about)
      : `Facilitator of ${network} at ${server.url}, account ${signer.address}, payments in ${about.store}. Press Ctrl-C to end.`,
  );
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  await server.stop();
  await data.close();
  await facilitator.stop();
  chain.close();
}

/** @throws Error that says which option needs another. */
function requireConsistent({
  receiverAuthorizerKey,
  operator,
  heartbeatKey,
  teeVerifier,
  privateKey: own,
  blobs,
  aggregator,
}: RunOptions): void {
  const fail = (message: string): never => {
    throw new Error(message);
  };
  if (receiverAuthorizerKey !== undefined && operator.length === 0) {
    fail("--receiver-authorizer-key lets whoever may settle refund channels: name who may, by --operator");
  }
  if (heartbeatKey !== undefined && teeVerifier === undefined) fail("--heartbeat-key needs --tee-verifier");
  if (teeVerifier !== undefined && operator.length === 0) fail("--tee-verifier needs an --operator who may report");
  if (heartbeatKey?.toLowerCase() === own.toLowerCase())
    fail("--heartbeat-key and --private-key have to be different accounts");
  if (/^https?:/.test(blobs) && aggregator === undefined) fail("--blobs with a publisher's URL needs --aggregator");
}

/** Adds up: from several options, or from one variable with commas. */
function operators(text: string, before: Operator[] = []): Operator[] {
  const found = text.split(",").map((part): Operator => {
    const [, name, token] = /^([\w.-]{1,64})=(\S{8,})$/.exec(part.trim()) ?? [];
    if (name === undefined || token === undefined) {
      throw new InvalidArgumentError("Expected NAME=TOKEN with a token of at least 8 characters.");
    }
    return { name, token };
  });
  return [...before, ...found];
}

function address(text: string): Hex {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new InvalidArgumentError(`Expected an address, found "${text}".`);
  return text.toLowerCase() as Hex;
}

const addresses = (text: string, before: Hex[] = []): Hex[] => [...before, address(text)];
