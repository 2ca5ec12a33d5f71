import { expect } from "chai";
import { Turnstile } from "../../../simulator/client/Turnstile.ts";

describe("Turnstile", () => {
  const forever = new AbortController().signal;

  it("pass_oneAfterTheOther_inTheirOrder", async () => {
    const turnstile = new Turnstile();
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      Array.from({ length: 5 }, async (_, i) => {
        const leave = await turnstile.pass(forever);
        expect(++inside).to.equal(1);
        order.push(i);
        await new Promise(setImmediate);
        inside--;
        leave();
      }),
    );
    expect(order).to.deep.equal([0, 1, 2, 3, 4]);
    expect(turnstile.length).to.equal(0);
  });

  it("pass_leftTwice_letsOneThrough", async () => {
    const turnstile = new Turnstile();
    const leave = await turnstile.pass(forever);
    const others = [turnstile.pass(forever), turnstile.pass(forever)];
    leave();
    leave();
    const second = await others[0]!;
    expect(turnstile.length).to.equal(2);
    second();
    (await others[1]!)();
    expect(turnstile.length).to.equal(0);
  });

  it("pass_abortedWhileWaiting_givesItsPlaceUp", async () => {
    const turnstile = new Turnstile();
    const leave = await turnstile.pass(forever);
    const impatient = new AbortController();
    const given = turnstile.pass(impatient.signal).then(
      () => "through",
      (error: unknown) => error,
    );
    const patient = turnstile.pass(forever);
    impatient.abort(new Error("no time"));
    expect(await given)
      .to.be.instanceOf(Error)
      .with.property("message", "no time");
    leave();
    (await patient)();
    expect(turnstile.length).to.equal(0);
  });
});
