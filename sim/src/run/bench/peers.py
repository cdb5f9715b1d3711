"""Times one product in another program: `python3 -c SCRIPT PEER`, the task as JSON on standard input.

Products of e4m3fn codes (row-major, hexadecimal, `side` squared of A and of B) are accumulated in
e6m9, nearest even, one fused rounding a step. Codes are finite and below 2, where e4m3fn and an
IEEE-like e4m3 are the same. What is printed is one line of JSON: `version`, `side`, `seconds` of
the processor, and either `codes` (D's e6m9 codes, hexadecimal) or `cycles`; or `why` nothing was
measured.
"""

import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import time
from importlib import metadata


def squares(text, side, n):
    """The upper left n x n codes of a side x side matrix, as nested lists."""
    codes = bytes.fromhex(text)
    return [list(codes[row * side : row * side + n]) for row in range(n)]


def timed(multiply):
    start = time.process_time()
    result = multiply()
    return time.process_time() - start, result


def grown(task, prepare, read):
    """The largest power of two whose product takes about the time asked for, or less."""
    side = n = task["side"]
    n = min(32, side)
    while True:
        a, b = squares(task["a"], side, n), squares(task["b"], side, n)
        multiply = prepare(a, b)
        seconds, result = timed(multiply)
        # The next size takes eight times as long.
        if 2 * n > side or 8 * seconds > 1.5 * task["seconds"]:
            codes = "".join(f"{code:04x}" for row in read(result) for code in row)
            return {"side": n, "seconds": seconds, "codes": codes}
        n *= 2


def apytypes(task):
    """Its products round to the accumulator's format first, which holds these exactly."""
    from apytypes import APyFloatAccumulatorContext, APyFloatArray, QuantizationMode

    def prepare(a, b):
        a, b = (APyFloatArray.from_bits(x, exp_bits=4, man_bits=3) for x in (a, b))

        def multiply():
            with APyFloatAccumulatorContext(exp_bits=6, man_bits=9, quantization=QuantizationMode.TIES_EVEN):
                return a @ b

        return multiply

    return grown(task, prepare, lambda d: d.to_bits())


def verifloat(task):
    """By its documentation of version 0.2."""
    from verifloat import E4M3, Accumulator, FPArray, FPFormat, matmul

    accumulator = Accumulator(FPFormat(6, 9), "sequential")

    def prepare(a, b):
        a, b = (FPArray.from_raw(x, E4M3) for x in (a, b))
        return lambda: matmul(a, b, acc=accumulator)

    return grown(task, prepare, lambda d: d.raw)


def mptorch(task):
    """By its sources of version 0.3: binary32 inside, one rounding of each fused step."""
    import torch
    from mptorch.quant.quant_function import float_mm

    torch.set_num_threads(1)

    def value(code):
        exponent, fraction = code >> 3 & 15, code & 7
        magnitude = (fraction + 8) * 2.0 ** (exponent - 10) if exponent else fraction * 2.0**-9
        return -magnitude if code & 128 else magnitude

    def e6m9(x):
        """Code of a binary32 value that e6m9 has."""
        (bits,) = struct.unpack("<I", struct.pack("<f", x))
        sign, exponent, fraction = bits >> 31, (bits >> 23 & 255) - 127, bits & 0x7FFFFF
        if exponent == 128:
            return sign << 15 | 63 << 9 | fraction >> 14
        if exponent < -30:
            return sign << 15 | int(abs(x) * 2.0**39)
        return sign << 15 | exponent + 31 << 9 | fraction >> 14

    def prepare(a, b):
        a, b = (torch.tensor([[value(code) for code in row] for row in x]) for x in (a, b))
        formats = {"man_add": 9, "exp_add": 6, "man_mul": 9, "exp_mul": 6}
        return lambda: float_mm(a, b, **formats, rounding="nearest", fma=True, subnormals=True, saturate=False)

    return grown(task, prepare, lambda d: [[e6m9(x) for x in row] for row in d.tolist()])


CONFIGURATION = """
[general]
run_name = run
[architecture_presets]
ArrayHeight : {array}
ArrayWidth : {array}
IfmapSramSzkB : 1024
FilterSramSzkB : 1024
OfmapSramSzkB : 1024
IfmapOffset : 0
FilterOffset : 10000000
OfmapOffset : 20000000
Dataflow : ws
ReadRequestBuffer : 32
WriteRequestBuffer : 32
[layout]
IfmapCustomLayout : False
IfmapSRAMBankBandwidth : 10
IfmapSRAMBankNum : 10
IfmapSRAMBankPort : 2
FilterCustomLayout : False
FilterSRAMBankBandwidth : 10
FilterSRAMBankNum : 10
FilterSRAMBankPort : 2
[sparsity]
SparsitySupport : false
[run_presets]
InterfaceBandwidth : CALC
UseRamulatorTrace : False
"""


def scalesim(task):
    """Cycles of a product on a weight-stationary array; no values."""
    from scalesim.scale_sim import scalesim as Simulator

    n = task["cycles_side"]
    with tempfile.TemporaryDirectory() as directory:
        files = {
            "config": CONFIGURATION.format(array=task["array"]),
            "topology": f"Layer,M,N,K,\nproduct,{n},{n},{n},\n",
            "layout": "Layer," + "x," * 20 + "\nproduct," + "1," * 20 + "\n",
        }
        paths = {}
        for name, text in files.items():
            paths[name] = os.path.join(directory, name + (".cfg" if name == "config" else ".csv"))
            with open(paths[name], "w") as file:
                file.write(text)
        start = time.process_time()
        simulator = Simulator(save_disk_space=True, verbose=False, input_type_gemm=True, **paths)
        simulator.run_scale(top_path=os.path.join(directory, "out"))
        seconds = time.process_time() - start
        with open(os.path.join(directory, "out", "run", "COMPUTE_REPORT.csv")) as report:
            header, row = (line.split(",") for line in report.read().splitlines()[:2])
    by_name = dict(zip((name.strip() for name in header), row))
    return {"side": n, "seconds": seconds, "cycles": int(float(by_name["Total Cycles"]))}


def main():
    peer = {"apytypes": apytypes, "verifloat": verifloat, "mptorch": mptorch, "scalesim": scalesim}[sys.argv[1]]
    task = json.load(sys.stdin)
    try:
        # What a library prints is not an answer.
        with contextlib.redirect_stdout(io.StringIO()):
            answer = peer(task)
        answer["version"] = metadata.version(sys.argv[1])
    except ModuleNotFoundError as e:
        answer = {"why": f"this python3 has no module {e.name}"}
    except BaseException as e:
        text = " ".join(str(e).split())
        answer = {"why": f"{type(e).__name__}: {text}"}
    print(json.dumps(answer))


main()
