"""Tokens of a text before a model has read it: by its own tokenizer where that is at hand, else from its letters."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hala_factory.catalog import Model

CHARS_PER_TOKEN = {"Latin": 4.4, "Arabic": 2.0, "Cyrillic": 2.7, "Han": 1.1, "other": 1.8}
"""Characters of a token, by script: the middle of six tokenizers in use (cl100k, o200k, DeepSeek, Anthropic, Mistral
v7 and Tekken), measured on NTREX-128's news sentences. The six lie between 4.2 and 4.8 for English, 1.1 and 3.4 for
Arabic, 1.9 and 3.5 for Russian, 0.9 and 1.7 for Chinese, 1.0 and 2.5 for Hebrew."""
SPREAD = {"Latin": 0.2, "Arabic": 0.75, "Cyrillic": 0.4, "Han": 0.5, "other": 0.7}
"""How far the six lie from that middle, as a share of the tokens; Latin is wider for code and for French (3.2)."""
ARABIC_LENGTH = 0.94
"""Characters of an Arabic translation per character of English (NTREX-128, 600 sentences)."""
PER_MESSAGE = 6
"""Tokens that a chat template puts around a message; those of ChatML and of Llama 3 put 4 to 8."""
_SCRIPTS = {
    "Latin": re.compile(r"[A-Za-z\u00c0-\u024f]+"),
    "Arabic": re.compile(r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]+"),
    "Cyrillic": re.compile(r"[\u0400-\u052f]+"),
    "Han": re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+"),
}


@dataclass(frozen=True)
class Counter:
    """How the tokens of a text are counted."""

    count: Callable[[str], float]
    how: str
    """In words, for the plan."""
    exact: bool
    """Whether it is the model's own tokenizer."""

    def spread(self, text: str) -> float:
        """How wrong a count may be, as a share of it."""
        return 0.02 if self.exact else SPREAD[script_of(text)]


def counter(model: Model, folder: Path) -> Counter:
    """What counts tokens for a model: its `tokenizer`, that of its checkpoint, or the number of letters.

    Nothing is fetched: a tokenizer on the Hub counts where a copy of it stands in the Hub's cache.
    """
    file = tokenizer_file(model, folder)
    if file is None:
        return Counter(by_letters, "characters per token, as no tokenizer of the model is at hand", False)
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no narrower one; an estimate is no reason to hold back a build
        said = str(error).splitlines()[0][:100]
        return Counter(by_letters, f"characters per token, as {file.name} cannot be read ({said})", False)
    return Counter(
        lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids), "the model's tokenizer", True
    )


def tokenizer_file(model: Model, folder: Path) -> Path | None:
    """The `tokenizer.json` of a model, if it is on this machine; relative paths start at `folder`."""
    places = [model.tokenizer] if model.tokenizer else []
    if model.engine in ("vllm", "local") and isinstance(model.path, str):
        places.append(model.path)
    for place in places:
        for file in (folder / place, folder / place / "tokenizer.json"):
            if file.is_file():
                return file
    for repository, revision in ((model.tokenizer, None), (model.hub, model.revision)):
        if repository and (found := _cached(repository, revision)):
            return found
    return None


def _cached(repository: str, revision: str | None) -> Path | None:
    """The newest copy of a tokenizer in the Hub's cache."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    found = [p for p in snapshots.glob("*/tokenizer.json") if revision in (None, p.parent.name) and p.exists()]
    return max(found, key=lambda p: p.stat().st_mtime, default=None)


def by_letters(text: str) -> float:
    """Tokens of a text, from how many of its letters are of which script."""
    letters = {script: sum(map(len, found.findall(text))) for script, found in _SCRIPTS.items()}
    known = sum(letters.values())
    if not known:
        return len(text) / CHARS_PER_TOKEN["other"]
    # spaces, digits and marks belong to the script they stand among
    return sum(len(text) * n / known / CHARS_PER_TOKEN[script] for script, n in letters.items())


def script_of(text: str) -> str:
    """The script of most letters of a text; `other` where none is known."""
    letters = {script: sum(map(len, found.findall(text))) for script, found in _SCRIPTS.items()}
    most = max(letters, key=lambda script: letters[script])
    return most if letters[most] else "other"
