"""The NVIDIA GPUs of this machine."""

from __future__ import annotations

import os
import subprocess


def gpus() -> list[str]:
    """What to put into CUDA_VISIBLE_DEVICES for each GPU we may use; empty without any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if listed.returncode:
        return []
    if visible is not None:
        return [v.strip() for v in visible.split(",") if v.strip() not in ("", "-1")]
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(n) for n in range(len(found))]
