"""Fixtures: a workshop in a temporary folder, where a test writes sources, a catalog and a recipe, and builds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workshop import Workshop

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HALA_STORE", raising=False)
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of real data for trials is not beside this checkout")
    return SHARED
