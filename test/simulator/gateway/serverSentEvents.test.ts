import { expect } from "chai";
import { encodeEvent, eventData, EventSplitter } from "../../../simulator/gateway/serverSentEvents.ts";

describe("serverSentEvents", () => {
  const text = 'data: {"a":"ü"}\n\n: keep-alive\n\ndata: two\r\ndata: lines\r\n\r\nevent: x\ndata:tight\n\n';

  it("split_atEveryByte_givesTheSameEvents", () => {
    const bytes = Buffer.from(text);
    const whole = new EventSplitter().push(bytes);
    expect(whole.map(eventData)).to.deep.equal(['{"a":"ü"}', undefined, "two\nlines", "tight"]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const splitter = new EventSplitter();
      const events = [...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))];
      expect(events).to.deep.equal(whole);
      expect(splitter.rest).to.have.length(0);
    }
  });

  it("split_cutStream_leavesARest", () => {
    const splitter = new EventSplitter();
    expect(splitter.push(Buffer.from("data: whole\n\ndata: cu"))).to.have.length(1);
    expect(splitter.rest.toString()).to.equal("data: cu");
  });

  it("encode_data_isReadBack", () => {
    expect(eventData(encodeEvent("[DONE]"))).to.equal("[DONE]");
  });
});
