"""Programs of `hala_factory.train`: run over an order, watched, and ended when we end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hala_factory import train
from hala_factory.environments import tail
from hala_factory.errors import BuildError
from hala_factory.generate import keeper

SAID = "said.txt"
"""Beside the order: lines in which a program says how far it is."""


def run(
    word: str,
    order: dict[str, Any],
    folder: Path,
    log: Path,
    say: Callable[[str], None],
    *,
    python: Path | None = None,
    launch: Sequence[str] = (),
    offline: bool = False,
) -> dict[str, Any]:
    """What the program called `word` made of an order: its `made.json`, written into `folder` beside the order.

    It runs under a keeper, so that it does not outlive us, in the interpreter `python` (ours if not given) behind
    `launch`, the arguments of a launcher. Its output goes to `log`, and what it says to `say`. Raises BuildError with
    the end of the log where it fails.
    """
    (folder / "order.json").write_text(json.dumps(order, ensure_ascii=False), encoding="utf-8")
    said = folder / SAID
    said.write_text("", encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    env |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    env |= {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    interpreter = str(python or sys.executable)
    program = [interpreter, "-I", *launch, str(Path(train.__path__[0]) / f"{word}.py"), str(folder / "order.json")]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("ab") as out,
        subprocess.Popen(
            [sys.executable, "-I", str(Path(keeper.__file__).resolve()), str(os.getpid()), *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env=env,
            start_new_session=True,
        ) as process,
        said.open(encoding="utf-8") as lines,
    ):
        code = None
        while code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.2)
            for line in lines:
                say(line.rstrip("\n"))
    made = folder / "made.json"
    if code or not made.is_file():
        raise BuildError(f"{word} ended with status {code}; {log} ends with:\n{tail(log)}")
    result: dict[str, Any] = json.loads(made.read_text(encoding="utf-8"))
    return result
