"""How fast networks run on a CPU under libraries that compile them, beside the plain and the fast
form of this suite: seconds, peak memory, seconds until the first result, and agreement.

    python -m tests.perf.libraries [ID ...] [--markdown FILE]

Every network that is named, or every one, runs at 848 x 560 on two threads under torch.compile
(with freezing), ONNX Runtime and OpenVINO, each in a process of its own, at the same weights drawn
at random. All compute in float32. The difference is the largest one to the plain form, as a share
of the largest value of that. The libraries are optional and no part of the suite:

    pip install openvino onnxruntime onnx onnxscript

One that is not installed is said so and left out. Conversion and compilation count for the first
result and for the peak memory of the process. It takes an hour for all networks, so `make perf`
leaves it out. Other work on the machine disturbs it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.api import BenchmarkError
from benchmark.apply import describe_error
from tests.perf.network_forms import (
    compare_with_plain,
    create_network_method,
    draw_network,
    draw_picture,
    list_networks,
    time_forward,
)
from tests.perf.processes import (
    THREADS,
    MeasurementError,
    describe_disturbance,
    measure_alone,
    read_memory,
    read_other_work,
    say,
)

if TYPE_CHECKING:
    from benchmark.methods.learned.method import Forward

WIDTH, HEIGHT = 848, 560
LONGEST = 900.0
"""Seconds after which a process is given up."""
NEEDED_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "fast": (),
    "torch.compile": (),
    "ONNX Runtime": ("onnxruntime", "onnx", "onnxscript"),
    "OpenVINO": ("openvino",),
}
"""Form -> packages without which it is left out."""
TABLE_HEAD = """\
| network | form | seconds | peak memory, GB | first result after, s | difference |
| --- | --- | ---: | ---: | ---: | ---: |"""
Costs = Mapping[str, Any]


def main(texts: Sequence[str], markdown_file: Path | None) -> None:
    """Measure and print; write a table too if a file is named."""
    names = list(texts) or list_networks()
    for text in names:
        create_network_method(text)  # a wrong id is refused before anything runs
    forms = choose_forms()
    rows = [TABLE_HEAD]
    for text in names:
        with tempfile.TemporaryDirectory() as folder:
            rows += [f"| {text} | {form} | {measure_row(text, form, folder)} |" for form in forms]
        if markdown_file is not None:
            markdown_file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def choose_forms() -> list[str]:
    """Return the forms whose packages are installed, and say which are left out."""
    forms = []
    for form, packages in NEEDED_PACKAGES.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            say(f"{form} is left out: not installed: {', '.join(missing)}")
        else:
            forms.append(form)
    return forms


def measure_row(text: str, form: str, folder: str) -> str:
    """Measure a form in a process of its own, print what it takes, and return its row of the table
    but for its name.
    """
    try:
        costs = measure_alone(
            "tests.perf.libraries", text, "--form", form, "--folder", folder, longest=LONGEST
        )
    except MeasurementError as error:
        say(f"{text}, {form}: no result: {error}")
        reason = str(error).replace("|", "/")  # it would end the table's cell
        return f"no result: {reason} | | |"
    seconds = f"{costs['seconds']:.2f}"
    memory = f"{costs['peak'] / 1e9:.2f}"
    first = f"{costs['first']:.1f}"
    difference = f"{costs['difference']:.0e}"
    say(
        f"{text}, {form}: {seconds} s, {memory} GB, first result after {first} s, difference "
        f"{difference}{describe_disturbance(costs['others'])}"
    )
    return f"{seconds} | {memory} | {first} | {difference}"


def measure_library(text: str, form: str, folder: Path) -> Costs:
    """Return `seconds`, seconds until the `first` result, `peak` memory of this process (bytes),
    `difference` to the plain form, and how many processors `others` kept busy.
    """
    torch.set_num_threads(THREADS)
    method = create_network_method(text)
    network = draw_network(method)
    picture = draw_picture(method, WIDTH, HEIGHT)
    forward: Forward
    other_work = read_other_work()
    started = time.perf_counter()
    with torch.inference_mode(form in ("plain", "fast", "torch.compile")):
        if form == "plain":
            forward = network
        elif form == "fast":
            forward = method.compile_network(network, "cpu")
        else:
            forward = CONVERTERS[form](network, picture, folder)
        output = forward(picture)
        first = time.perf_counter() - started
        _, seconds = time_forward(forward, picture)
    peak = read_memory("VmHWM")
    others = (read_other_work() - other_work) / (time.perf_counter() - started)
    plain_file = folder / "plain.pt"
    if form == "plain":
        torch.save(output.contiguous(), plain_file)
    difference = compare_with_plain(output, plain_file)
    return {
        "seconds": seconds,
        "first": first,
        "peak": peak,
        "difference": difference,
        "others": others,
    }


def compile_with_torch(network: nn.Module, picture: Tensor, folder: Path) -> Forward:
    """Return a network as torch.compile makes it, with its weights frozen, in the layout that suits
    a CPU.
    """
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return torch.compile(network.to(memory_format=torch.channels_last))


def convert_to_onnx(network: nn.Module, picture: Tensor, folder: Path) -> Forward:
    """Return a network as ONNX Runtime runs it."""
    import onnxruntime

    model_file = folder / "network.onnx"
    torch.onnx.export(network, (picture,), model_file, dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {entry: x.numpy()})[0])


def convert_to_openvino(network: nn.Module, picture: Tensor, folder: Path) -> Forward:
    """Return a network as OpenVINO runs it, converted from a trace; or, where that fails, from what
    torch exports.

    A trace turns sizes into tensors, on which not every operation of Python works; what is exported
    may hold operations that OpenVINO does not know.
    """
    import openvino

    try:
        model = openvino.convert_model(network, example_input=picture, input=[list(picture.shape)])
    except Exception:  # of a type of its own for every stage
        exported = torch.export.export(network, (picture,))
        model = openvino.convert_model(exported)
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": THREADS,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return lambda x: torch.from_numpy(np.array(compiled(x.numpy())[0]))


CONVERTERS: Mapping[str, Callable[[nn.Module, Tensor, Path], Forward]] = {
    "torch.compile": compile_with_torch,
    "ONNX Runtime": convert_to_onnx,
    "OpenVINO": convert_to_openvino,
}


def print_measurement(text: str, form: str, folder: Path) -> None:
    """Measure one form in this process and print JSON; or end with the reason in one line."""
    warnings.simplefilter("ignore")
    try:
        costs = measure_library(text, form, folder)
    except Exception as error:  # whatever a library cannot do with a network
        sys.exit(describe_error(error))
    say(json.dumps(costs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.perf.libraries")
    parser.add_argument("ids", nargs="*", metavar="ID", help="ids of networks; all if none")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="where the table goes")
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.form:
        print_measurement(arguments.ids[0], arguments.form, arguments.folder)
    else:
        try:
            main(arguments.ids, arguments.markdown)
        except BenchmarkError as error:
            parser.error(str(error))
