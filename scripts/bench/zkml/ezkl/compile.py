"""Compiles the bench's networks for EZKL's npm engine, which cannot: python compile.py FOLDER. See README.md."""

import asyncio
import json
import pathlib
import sys

import ezkl

SCALE = 10  # bits of fraction, of inputs and weights
ENGINE = "11.4.2"  # artifacts open in this version only


async def compile_networks(folder):  # ezkl wants an event loop to run in
    for name in "SML":
        onnx, data, settings, compiled = (str(folder / f"{name}.{end}") for end in ("onnx", "input.json", "settings.json", "compiled"))
        args = ezkl.PyRunArgs()
        args.variables = [("N", 1)]
        # as our proofs: input and output are public, and the verification key holds for one model
        args.input_visibility = "public"
        args.output_visibility = "public"
        args.param_visibility = "fixed"
        args.input_scale = SCALE
        args.param_scale = SCALE
        assert ezkl.gen_settings(onnx, settings, py_run_args=args)
        # lookup tables no larger than this one input needs: the least that EZKL can get by with
        assert await ezkl.calibrate_settings(data, onnx, settings, "resources", scales=[SCALE])
        assert ezkl.compile_circuit(onnx, compiled, settings)
        found = json.loads(pathlib.Path(settings).read_text())
        assert found["version"] == ENGINE, found["version"]
        print(name, "logrows", found["run_args"]["logrows"])


asyncio.run(compile_networks(pathlib.Path(sys.argv[1])))
