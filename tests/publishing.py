"""What tests of publishing share: a corpus that may be published, a stand-in Hub, and what must never be told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hala_factory.run import assembling
from tests.stand_in_writable_hub import TOKEN, Hub, running
from tests.workshop import Workshop, alpaca

REPO = "me/small"
SECRETS = (TOKEN, "secretsignature", "Bearer")


def built(workshop: Workshop, rows: int = 300, word: str = "row", **fields: Any) -> Workshop:
    """`small@1.0.0` in three data files."""
    workshop.rows("a.jsonl", alpaca(rows, word))
    workshop.catalog({"plain": {"path": "a.jsonl"}})
    head = {"version": "1.0.0", "language": "en", "exports": ["messages", "conversations"]}
    workshop.recipe(["plain"], [{"step": "length", "min_chars": 5}, "exact_dedup"], **{**head, **fields})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "FILE_ROWS", 100)
        workshop.build()
    return workshop


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which small@1.0.0 is built, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        built(Workshop(folder))
    return folder


@pytest.fixture
def shop(workshop: Workshop, template: Path) -> Workshop:
    shutil.copytree(template, workshop.folder, dirs_exist_ok=True)
    return workshop


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        for name, value in environment(hub).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # read when it was imported
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield hub


def environment(hub: Hub) -> dict[str, str]:
    """For clients, which have xet by default and have no Hub here that offers it."""
    off = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, **off}


def publish(shop: Workshop, *words: str) -> dict[str, Any]:
    """`publish small@1.0.0 --repo me/small --json`."""
    return dict(shop.run("publish", "small@1.0.0", "--repo", REPO, "--json", *words).json)


def version_files(shop: Workshop, version: str = "1.0.0") -> dict[str, bytes]:
    """The files of a version, by name."""
    folder = shop.corpus(version)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def reseal(shop: Workshop, changed: dict[str, Any], version: str = "1.0.0") -> None:
    """Have the manifest say something else, under a seal that holds."""
    from hala_factory import seal

    path = shop.corpus(version) / "manifest.json"
    told = json.loads(path.read_text())
    told.pop("seal")
    seal.write(path, {**told, **changed})
