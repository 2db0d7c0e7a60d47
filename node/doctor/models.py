"""Checks the models that rules name, and what will run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

from node.catalog import site_catalog
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.inference.serving import how_served, serving_of
from node.settings import Settings

_PATIENCE_SECONDS = 120.0
_QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def model_checks(settings: Settings) -> list[Check]:
    """Return a check for each model that a rule names, and one for TensorFlow."""
    names = dict.fromkeys(rule.model for rule in settings.enabled_rules)
    checks = [Check(f"model {name}", partial(check_model, settings, name)) for name in names]
    return [*checks, Check("TensorFlow", check_tensorflow)]


def check_model(settings: Settings, name: str) -> Outcome:
    """Find a model that is not installed, or whose card or weights are not right; raises ModelCardError."""
    model = site_catalog(settings)[name]
    for checked in filter(None, (model, model.gate)):
        checked.check_weights()
    found = f"version {model.card.version}, weights as its card says, {how_served(model, serving_of(settings))}"
    if model.card.status != "released":
        return warning(f"{found}; {model.card.status}", "read its card.md before you rely on it")
    return fine(found)


def check_tensorflow() -> Outcome:
    """Find out in another process whether TensorFlow loads and whether it sees a GPU."""
    command = [sys.executable, "-m", "node.inference.devices"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
            env=os.environ | _QUIET_TENSORFLOW,
        )
    except subprocess.TimeoutExpired:
        return fault(f"did not load within {_PATIENCE_SECONDS:g} s", "look at the load of this machine, then try again")
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        return fault(
            f"does not load: {last}", "pip install 'radnode[cpu]', or 'radnode[gpu]' on a machine with an NVIDIA GPU"
        )
    return _judge(answer.stdout)


def _judge(printed: str) -> Outcome:
    devices = json.loads(printed.splitlines()[-1])
    found = f"TensorFlow {devices['tensorflow']}, Keras {devices['keras']}, "
    if devices["gpus"]:
        return fine(f"{found}{devices['gpus']} GPU seen")
    if devices["built_for_gpu"]:
        return warning(
            f"{found}built for GPUs, but none seen; networks run on the CPU",
            "check nvidia-smi and the driver, or install 'radnode[cpu]'",
        )
    return fine(f"{found}CPU only")
