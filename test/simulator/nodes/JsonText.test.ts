import { expect } from "chai";

import { jsonOf, JsonText, withMembers } from "../../../simulator/nodes/JsonText.ts";

const textOf = (text: string): JsonText => new JsonText(text, JSON.parse(text) as Record<string, unknown>);

describe("withMembers", () => {
  it("members_ofATextThatPasses_areAddedAtItsEnd", () => {
    const answer = withMembers(textOf('{ "n": 1.0 }\n'), { a: { b: [1] }, 'c"': "d" });
    expect(jsonOf(answer)).to.equal('{ "n": 1.0 ,"a":{"b":[1]},"c\\"":"d"}');
  });

  it("members_ofAnEmptyObject_haveNoCommaBefore", () => {
    expect(jsonOf(withMembers(textOf("{}"), { a: 1, b: null }))).to.equal('{"a":1,"b":null}');
  });

  it("members_thatAreUndefined_areLeftOut", () => {
    expect(jsonOf(withMembers(textOf('{"n":1}'), { a: undefined, b: 2 }))).to.equal('{"n":1,"b":2}');
  });

  it("member_thatIsThereAlready_isReplaced", () => {
    expect(jsonOf(withMembers(textOf('{"n":1.0,"a":0}'), { a: 2 }))).to.equal('{"n":1,"a":2}');
  });

  it("member_thatIsAText_passesAsItIs", () => {
    expect(jsonOf(withMembers(textOf('{"n":1}'), { a: textOf('{"m":1.0}') }))).to.equal('{"n":1,"a":{"m":1.0}}');
  });

  it("member_thatIsAText_ofAPlainObject_isWhatItSays", () => {
    expect(jsonOf(withMembers({ n: 1 }, { a: textOf('{"m":2}') }))).to.equal('{"n":1,"a":{"m":2}}');
  });
});
