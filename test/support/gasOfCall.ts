import { z } from "zod";
import type { NetworkConnection } from "hardhat/types/network";

const traceSchema = z.object({
  failed: z.boolean(),
  structLogs: z.array(z.looseObject({ gas: z.coerce.number(), gasCost: z.coerce.number() })).min(1),
});

/** Gas of a call within itself, all storage cold: neither the transaction's base fee nor its data, whose floor would hide it. */
export async function gasOfCall({ provider }: NetworkConnection, call: { to: string; data: string }): Promise<number> {
  const options = { disableStorage: true, disableMemory: true, disableStack: true };
  const trace: unknown = await provider.request({ method: "debug_traceCall", params: [call, "latest", options] });
  const { failed, structLogs } = traceSchema.parse(trace);
  if (failed) throw new Error("Expected the call to pass, found that it reverts");
  const [first, last] = [structLogs[0]!, structLogs.at(-1)!];
  return first.gas - last.gas + last.gasCost;
}
