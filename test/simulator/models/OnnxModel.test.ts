import { expect } from "chai";

import { ModelInputError, ModelLoadError } from "../../../simulator/models/ModelError.ts";
import { LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { OnnxModel } from "../../../simulator/models/OnnxModel.ts";
import { rejection } from "../../support/rejection.ts";

const POSITION = [0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30];

describe("OnnxModel", () => {
  let model: OnnxModel;
  before(async () => {
    model = await OnnxModel.load(LIQUIDATION_RISK_MODEL, { maxElements: 80 });
  });
  after(() => model.close());

  it("load_committedModel_declaresItsTensors", () => {
    expect(model.inputs).to.deep.equal([{ name: "positions", type: "float32", shape: ["N", 8] }]);
    expect(model.outputs).to.deep.equal([{ name: "risk", type: "float32", shape: ["N", 1] }]);
  });

  it("load_garbage_throws", async () => {
    const error = await rejection(OnnxModel.load(new Uint8Array([1, 2, 3])));
    expect(error).to.be.instanceOf(ModelLoadError).with.property("code", "model_not_loadable");
  });

  it("run_nestedAndFlat_giveTheSame", async () => {
    const nested = await model.run({ positions: [POSITION, POSITION] });
    const flat = await model.run({ positions: { data: [...POSITION, ...POSITION], dims: [2, 8] } });
    expect(nested).to.deep.equal(flat);
    expect(nested.risk).to.have.length(2);
  });

  it("run_twice_givesTheSameBits", async () => {
    expect(await model.run({ positions: [POSITION] })).to.deep.equal(await model.run({ positions: [POSITION] }));
  });

  const wrong: [what: string, inputs: Record<string, unknown>, message: RegExp][] = [
    ["missing", {}, /input "positions" is missing/],
    ["unknown", { positions: [POSITION], x: 1 }, /unknown input "x"; the model takes "positions"/],
    ["inheritedName", { positions: [POSITION], toString: 1 }, /unknown input "toString"/],
    ["rank", { positions: POSITION }, /expected shape \[N, 8\], found \[8\]/],
    ["tooDeep", { positions: [[POSITION]] }, /nested more deeply/],
    ["columns", { positions: [POSITION.slice(1)] }, /expected shape \[N, 8\] with N = 1, found \[1, 7\]/],
    [
      "ragged",
      { positions: [POSITION, POSITION.slice(1)] },
      /rows differ in length; expected 8 values at depth 1, found 7/,
    ],
    ["empty", { positions: [] }, /expected shape \[N, 8\]/],
    ["noRows", { positions: { data: [], dims: [0, 8] } }, /is empty/],
    ["type", { positions: [[...POSITION.slice(1), "1"]] }, /element 7: expected a finite number .*, found "1"/],
    ["null", { positions: [[...POSITION.slice(1), null]] }, /found null/],
    ["overflow", { positions: [[...POSITION.slice(1), 1e39]] }, /within float32's range, found 1e\+39/],
    ["dims", { positions: { data: POSITION, dims: [2, 8] } }, /need 16 values, found 8/],
    ["badDims", { positions: { data: POSITION, dims: [-1, -8] } }, /expected \{data: \[values\], dims: \[sizes\]\}/],
    ["tooMany", { positions: Array.from({ length: 11 }, () => POSITION) }, /more than 80 elements/],
  ];
  for (const [what, inputs, message] of wrong) {
    it(`run_${what}_throwsModelInputError`, async () => {
      const error = await rejection(model.run(inputs));
      expect(error).to.be.instanceOf(ModelInputError).with.property("code", "invalid_model_input");
      expect(error.message).to.match(message);
    });
  }
});
