"""What is asked and what comes back: `Request`, `Answer`, and the identity of the model between them.

The model: a request's key is SHA-256 over its messages, its sampling and the model's identity, spelt as
canonical JSON. Equal keys may share an answer, on any machine and in any later build.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from hala_factory.fingerprint import fingerprint

FinishReason = Literal["stop", "length", "error", "miss"]
Unit = Literal["segment", "text"]
"""What one request carries: a piece of a text that fits the model, or a whole text (recorded answers)."""


@dataclass(frozen=True)
class Answer:
    """What a model gave for one request."""

    text: str
    finish_reason: FinishReason
    """`stop`: whole; `length`: cut at `max_tokens`; `error`: refused by the engine; `miss`: nothing recorded."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None
    """What the engine said, where `finish_reason` is `error`."""
    final: bool = field(default=True, compare=False)
    """False for an error that asking again may cure (a server that broke); such answers are never stored."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: its name in the catalog, and everything that decides its answers."""

    name: str
    content: dict[str, Any]

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits over `content`; the name does not count."""
        return fingerprint(self.content)

    @property
    def folder(self) -> str:
        """The name of the model's folder in a store: `<model>-<fp12>`."""
        return f"{self.name}-{self.fingerprint[:12]}"


@dataclass(frozen=True)
class Request:
    """One prompt with its sampling.

    Raises TypeError for a message without text: servers answer such a prompt as if nothing were wrong.
    """

    messages: tuple[tuple[str, str], ...]
    """Role and content of each."""
    temperature: float
    max_tokens: int
    seed: int | None = None
    text: str | None = None
    """The bare text to translate, for engines that take no prompt; not part of the key."""
    schema: str | None = None
    """The JSON Schema that the answer has to follow, as JSON without spaces; part of the key where there is one.
    Its properties stand in the order in which the model is to write them."""

    def __post_init__(self) -> None:
        for role, content in self.messages:
            if not isinstance(role, str) or not isinstance(content, str):
                raise TypeError(f"a message of role {role!r} has no text: found {type(content).__name__}")

    def key(self, model: ModelIdentity) -> str:
        """64 hex digits: the name under which the answer of `model` is stored."""
        said: dict[str, Any] = {
            "messages": self.messages,
            "model": model.fingerprint,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }
        if self.schema is not None:
            said["schema"] = self.schema
        return fingerprint(said)

    @property
    def last_user_text(self) -> str | None:
        """The content of the last user message, if there is one."""
        return next((content for role, content in reversed(self.messages) if role == "user"), None)
