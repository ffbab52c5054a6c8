"""`doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys

from hala_factory.errors import InputError
from hala_factory.generate import tools
from hala_factory.review import tool as argilla


def look() -> list[dict[str, str]]:
    """One fact per part: `what`, `state`, `todo` (empty when nothing is)."""
    vllm = tools.find_vllm()
    local = all(importlib.util.find_spec(m) for m in ("ctranslate2", "transformers", "torch"))
    gpu = shutil.which("nvidia-smi") is not None
    free = shutil.disk_usage(".").free // 2**30
    return [
        _fact("python", f"{platform.python_version()} at {sys.executable}"),
        _fact("cores", str(len(os.sched_getaffinity(0)))),
        _fact("disk free here", f"{free} GB", "" if free >= 5 else "builds need room: use --store on a larger disk"),
        _fact(
            "GPU", "found" if gpu else "none", "" if gpu else "vllm runs its CPU build; engine 'local' suits a laptop"
        ),
        _fact("engine openai, recorded, batch", "ready"),
        _fact(
            "engine vllm", str(vllm) if vllm else "not installed", "" if vllm else "hala-factory tools install vllm"
        ),
        _fact(
            "engine local", "ready" if local else "not installed", "" if local else 'pip install "hala-factory[local]"'
        ),
        _fact(*_compressor()),
        _fact(*_review()),
        _fact(
            "Hub token", "set" if os.environ.get("HF_TOKEN") else "not set", "HF_TOKEN opens gated sources and models"
        ),
    ]


def _compressor() -> tuple[str, str, str]:
    try:
        return "quantising models", str(tools.find_llmcompressor()), ""
    except InputError:
        return "quantising models", "not installed", "hala-factory tools install llmcompressor"


def _review() -> tuple[str, str, str]:
    server, client = argilla.find(), importlib.util.find_spec("argilla") is not None
    state = f"server {server or 'not installed'}, client {'ready' if client else 'not installed'}"
    todo = [*([] if server else ["hala-factory tools install argilla"])]
    todo += [] if client else ['pip install "hala-factory[review]"']
    return "review in Argilla", state, "; ".join(todo)


def _fact(what: str, state: str, todo: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "todo": todo}
