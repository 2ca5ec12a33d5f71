import { inspect } from "node:util";

/** The other end of `startServer`: for files that run as a process of their own. */

/** What the parent passed. */
export const settings = <T>(): T => JSON.parse(process.argv[2] ?? "{}") as T;

/** Tells the parent that the server listens. Ends the process with the parent. */
export function serve(ready: { url: string } & Record<string, unknown>, close?: () => Promise<void>): void {
  const end = (): void => void (close?.() ?? Promise.resolve()).finally(() => process.exit());
  process.once("SIGTERM", end);
  process.once("disconnect", end);
  process.send!(ready);
}

/** Answers what the parent asks. */
export function answerQuestions<Q, A>(answer: (question: Q) => Promise<A>): void {
  process.on("message", (question) => {
    answer(question as Q).then(
      (result) => process.send!({ result }),
      (error: unknown) => process.send!({ error: inspect(error) }),
    );
  });
}
