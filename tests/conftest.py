"""Fixtures: a workshop in a temporary folder, where a test writes sources, a catalog and a recipe, and builds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reviewing import Served, served
from tests.workshop import Workshop

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests take long come first, so that no worker is left with one of them in the end."""
    ranks: dict[Path, int] = {}
    for item in items:
        own = 0 if item.get_closest_marker("vllm") or item.get_closest_marker("train") else 1
        rank = own if item.get_closest_marker("slow") or not own else 2
        ranks[item.path] = min(rank, ranks.get(item.path, 2))
    items.sort(key=lambda item: ranks[item.path])


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


@pytest.fixture(scope="session")
def argilla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One Argilla server for all tests of a worker, with annotators amira, bilal and four more."""
    with served(
        tmp_path_factory.mktemp("argilla") / "data", "amira", "bilal", "carim", "dalia", "emad", "fadwa"
    ) as it:
        yield it
