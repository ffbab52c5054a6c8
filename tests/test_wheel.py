"""What pip installs is enough: the catalog, the recipes and the samples travel with the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")
NOT_OF_THE_WHEEL = {"build", "tests", "docs", "benchmarks", "store"}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input")


@pytest.mark.slow
def test_the_demo_builds_from_an_installed_wheel_in_an_empty_folder(tmp_path: Path) -> None:

    def left_out(folder: str, names: list[str]) -> set[str]:
        return LEFT_OUT(folder, names) | (NOT_OF_THE_WHEEL if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, tmp_path / "checkout", ignore=left_out)
    wheel = (*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", ".", "./checkout")
    subprocess.run(wheel, cwd=tmp_path, check=True, capture_output=True)
    (made,) = tmp_path.glob("hala_factory-*.whl")
    install = (*PIP, "install", "--no-deps", "--no-index", "--target", "installed", made.name)
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "empty").mkdir()
    words = ("build", "arabic-instruct-v1", "--profile", "demo", "--json", "--quiet", "--workers", "1")
    built = subprocess.run(
        [sys.executable, "-P", "-m", "hala_factory.cli", *words],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
    )
    assert built.returncode == 0, built.stderr.decode()
    told = json.loads(built.stdout)
    assert told["artifact"] == "arabic-instruct-v1@dev"
    assert told["rows"]["kept"] > 0
    lock = (Path(told["path"]) / "lock.yaml").read_text(encoding="utf-8")
    assert "path: samples/" in lock
    installed = tmp_path / "installed" / "hala_factory"
    assert (installed / "project" / "catalog.yaml").exists()
    assert (installed / "train" / "tasks" / "arabic-mmlu.yaml").exists()
