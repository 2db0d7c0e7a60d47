"""A converted network that is compiled once, stays in memory and answers one batch at a time, without TensorFlow."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from node.inference.artefact import Artefact
from node.vocabulary import Pixels

_CONVERTER, _REPORTER = "openvino.tools.ovc", "openvino_telemetry"


def import_openvino() -> Any:
    """Import OpenVINO without its converter, which takes half of the time, and without what tells its maker of it."""
    sys.modules[_REPORTER] = None  # type: ignore[assignment] # makes an import of it fail
    if _CONVERTER in sys.modules:
        import openvino  # noqa: PLC0415
    else:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]
        try:
            import openvino  # noqa: PLC0415
        finally:
            del sys.modules[_CONVERTER]
    return openvino


def can_reduce() -> bool:
    """Tell whether the CPUs of this machine compute in 16 bits, which others would only imitate."""
    capabilities: list[str] = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoNetwork:
    """An artefact, compiled for the CPUs of this machine; computes in 32 bits unless it `is_reduced` to bfloat16."""

    def __init__(self, artefact: Artefact, threads: int = 0, *, is_reduced: bool = False) -> None:
        """Compile it for so many threads (0 for as many as there are cores)."""
        openvino = import_openvino()
        weights = openvino.Tensor(np.frombuffer(artefact.weights, np.uint8))
        network = openvino.Core().read_model(artefact.graph, weights)
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if is_reduced else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other workers compute on the same cores
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._shape = tuple(network.input(0).shape)
        self._request = openvino.Core().compile_model(network, "CPU", options).create_infer_request()

    def warm_up(self) -> None:
        """Answer once, so that the first job does not wait for what is done at the first answer."""
        self.predict(np.zeros(self._shape, np.float32))

    def predict(self, batch: Pixels) -> Pixels:
        """Return the network's output for `batch`, shaped as architecture.py says.

        Entries go through one by one: on CPUs that is as fast, the answer to an image does not depend on those
        beside it, and memory does not grow.
        """
        return np.concatenate([self._answer(batch[at : at + 1]) for at in range(len(batch))])

    def _answer(self, one: Pixels) -> Pixels:
        self._request.infer([np.ascontiguousarray(one, np.float32)], share_inputs=True)
        answer: Pixels = self._request.get_output_tensor(0).data.copy()
        return answer
