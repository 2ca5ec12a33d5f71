import { expect } from "chai";
import { Tensor } from "onnxruntime-node";

import { tensorFromJson, tensorToJson, type TensorSpec } from "../../../simulator/models/jsonTensor.ts";
import { ModelInputError, ModelOutputError } from "../../../simulator/models/ModelError.ts";

const spec = (type: TensorSpec["type"], shape: TensorSpec["shape"]): TensorSpec => ({ name: "x", type, shape });
const parse = (s: TensorSpec, json: unknown, free = new Map<string, number>()) => tensorFromJson(s, json, free, 1000);

describe("jsonTensor", () => {
  it("roundTrip_everyType_keepsValues", () => {
    const cases: [TensorSpec["type"], unknown][] = [
      ["float32", [[0.5, -1.25]]],
      ["float64", [[0.1, 1e300]]],
      ["int32", [[-(2 ** 31), 7]]],
      ["int64", [["9223372036854775807", -5]]],
      ["uint8", [[0, 255]]],
      ["bool", [[true, false]]],
      ["string", [["a", "ü"]]],
    ];
    for (const [type, json] of cases) {
      expect(tensorToJson("x", parse(spec(type, [1, 2]), json)), type).to.deep.equal(json);
    }
  });

  it("parse_scalarAndRank3_keepShape", () => {
    expect(tensorToJson("x", parse(spec("float32", []), 2.5))).to.equal(2.5);
    const cube = [
      [[1], [2], [3]],
      [[4], [5], [6]],
    ];
    expect(tensorToJson("x", parse(spec("int32", ["a", "b", 1]), cube))).to.deep.equal(cube);
  });

  it("parse_valueOutsideType_throws", () => {
    const cases: [TensorSpec["type"], unknown][] = [
      ["int32", 2 ** 31],
      ["int32", 1.5],
      ["int64", "9223372036854775808"],
      ["int64", 2 ** 53],
      ["uint8", -1],
      ["bool", 1],
      ["string", 1],
      ["float64", Number.POSITIVE_INFINITY],
    ];
    for (const [type, value] of cases) {
      expect(() => parse(spec(type, [1]), [value]), `${type} ${String(value)}`).to.throw(ModelInputError);
    }
  });

  it("parse_sharedDimension_mustAgree", () => {
    const free = new Map<string, number>();
    parse(spec("float32", ["N"]), [1, 2], free);
    expect(() => parse(spec("float32", ["N"]), [1, 2, 3], free)).to.throw(ModelInputError, "with N = 2, found [3]");
  });

  it("write_notFinite_throws", () => {
    expect(() => tensorToJson("risk", new Tensor("float32", Float32Array.of(Number.NaN), [1]))).to.throw(
      ModelOutputError,
      "risk",
    );
  });
});
