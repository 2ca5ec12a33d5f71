import { expect } from "chai";

import { Cancellation } from "../../../simulator/nodes/Cancellation.ts";

/** Keeps the reasons it is told. */
function listener() {
  const reasons: string[] = [];
  return { reasons, abort: ({ message }: Error) => void reasons.push(message) };
}

describe("Cancellation", () => {
  it("cancel_twice_tellsTheFirstReasonOnce", () => {
    const cancellation = new Cancellation();
    const told = listener();
    cancellation.tell(told);
    expect(told.reasons).to.deep.equal([]);
    cancellation.cancel(new Error("late"));
    cancellation.cancel(new Error("stopping"));
    expect(told.reasons).to.deep.equal(["late"]);
  });

  it("tell_afterCancel_isToldAtOnce", () => {
    const cancellation = new Cancellation();
    cancellation.cancel(new Error("late"));
    const told = listener();
    cancellation.tell(told);
    expect(told.reasons).to.deep.equal(["late"]);
  });

  it("signal_beforeAndAfterCancel_isAbortedWithTheReason", () => {
    const [early, late] = [new Cancellation(), new Cancellation()];
    const reason = new Error("late");
    const { signal } = early;
    expect(signal.aborted).to.equal(false);
    early.cancel(reason);
    late.cancel(reason);
    for (const each of [signal, early.signal, late.signal]) {
      expect(each.aborted).to.equal(true);
      expect(each.reason).to.equal(reason);
    }
  });
});
