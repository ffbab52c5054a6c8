"""The catalog: every source, model and benchmark by name, with where it is, what it holds and its licence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hala_factory import yamlfile
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.rows import RowKind

Format = Literal["parquet", "jsonl", "json", "csv", "tsv", "tmx", "po", "moses"]
Shape = Literal["alpaca", "prompt_completion", "open_orca", "sharegpt", "messages"]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Scalar = str | int | float | bool

SHAPES: dict[str, dict[str, str]] = {
    "alpaca": {"prompt": "instruction", "input": "input", "response": "output"},
    "prompt_completion": {"prompt": "prompt", "response": "completion"},
    "open_orca": {"system": "system_prompt", "prompt": "question", "response": "response"},
    "sharegpt": {"conversation": "conversations"},
    "messages": {"conversation": "messages"},
}
"""Short names of well-known column layouts, and what they stand for."""

TURN_COLUMNS = frozenset({"system", "prompt", "input", "response"})


class Entry(BaseModel):
    """What sources, models and benchmarks have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    hub: str | None = None
    """Repository id on the Hugging Face Hub."""
    revision: str | None = None
    """Commit or tag; if not given, the newest one is resolved at build and locked into the corpus."""
    licence: str
    """SPDX id, or `unknown`, or `conflict` where its own pages disagree."""
    licence_page: str | None = None
    """Where the licence was read."""
    licence_note: str | None = None
    """The doubt about it, in words."""
    note: str | None = None
    """Anything else a user of it should know."""


class Sample(BaseModel):
    """A few rows of our own in the source's schema; used by profiles that say `sources: samples`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    format: Format | None = None


class Subset(BaseModel):
    """One part of a mixture, named by the source's `subset` column."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    licence: str
    language: str | None = None
    rows: int | None = None
    note: str | None = None


class Source(Entry):
    """One source dataset: where its files are, how their columns become rows, languages and licence."""

    path: str | list[str] | dict[str, str] | None = None
    """File, glob or list of them, relative to the catalog; for `moses`, one file per language code."""
    config: str | None = None
    """Configuration on the Hub."""
    split: str = "train"
    """Split on the Hub."""
    files: list[str] | None = None
    """Globs within the Hub repository, read in this order; if not given, the Hub's own listing of the split."""
    format: Format | None = None
    """Form of the files; guessed from their names if not given."""
    rows: RowKind = "instruction"
    """`instruction` rows hold messages, `pair` rows hold translations."""
    columns: Shape | dict[str, str]
    """How the source's columns become a row: the name of a well-known layout, or `prompt`, `input`, `response`
    and `system`; or `conversation` (a list of turns); or `tree` (nested replies); or a language code each."""
    language: str | list[str]
    """Language code(s) of the texts."""
    subset: str | None = None
    """The source's column that names the part of a mixture a row belongs to."""
    subsets: dict[str, Subset] = {}
    """Licence and language of the parts, where they differ from the whole."""
    strip: list[str] = []
    """Texts cut off from the end of every message, e.g. a stray `<|endoftext|>`."""
    size: int | None = None
    """Rows it holds, as far as known; for plans."""
    sample: Sample | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Source:
        if (self.hub is None) == (self.path is None):
            raise ValueError("give either 'hub' or 'path'")
        keys = set(self.mapping)
        if self.rows == "pair":
            if len(keys) != 2:
                raise ValueError(f"columns of a pair source name two languages, found {sorted(keys)}")
        elif not (keys in ({"conversation"}, {"tree"}) or ({"prompt", "response"} <= keys <= TURN_COLUMNS)):
            unknown = sorted(keys - TURN_COLUMNS - {"conversation", "tree"})
            hint = f"unknown {unknown[0]!r}{did_you_mean(unknown[0], TURN_COLUMNS)}" if unknown else f"found {sorted(keys)}"
            raise ValueError(f"columns need 'prompt' and 'response', or 'conversation', or 'tree': {hint}")
        if isinstance(self.path, dict) != (self.format == "moses"):
            raise ValueError("'path' is one file per language exactly when 'format' is moses")
        return self

    @property
    def mapping(self) -> dict[str, str]:
        """`columns` with a layout's name spelt out."""
        return SHAPES[self.columns] if isinstance(self.columns, str) else self.columns

    @property
    def languages(self) -> list[str]:
        """Language codes; for pair rows, in the order of `columns`."""
        if self.rows == "pair":
            return list(self.mapping)
        return [self.language] if isinstance(self.language, str) else self.language


class Model(Entry):
    """One model (or file of answers) that a step may ask, and the engine that answers for it."""

    engine: Literal["openai", "vllm", "recorded", "local"]
    """`openai`: endpoints that run already; `vllm`: a server we start; `recorded`: a file; `local`: CTranslate2."""
    path: str | list[str] | None = None
    """Checkpoint folder, or the file(s) of recorded answers, relative to the catalog."""
    model: str | None = None
    """The name under which endpoints know the model; `hub` if not given."""
    endpoints: list[str] = []
    """Base URLs of OpenAI-compatible servers, e.g. `http://127.0.0.1:8000/v1`."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    quantisation: str | None = None
    """E.g. FP8_DYNAMIC; part of what decides an answer."""
    context: int = Field(4096, ge=128)
    """Tokens that fit the model: prompt and answer."""
    serve: list[str] = []
    """Further arguments of the vllm server."""
    by: str | None = None
    """Who made recorded answers; named in card and report."""
    tokenizer: str | None = None
    """Where counts of tokens come from, if not the model itself."""
    max_sentence_chars: int = Field(600, ge=20)
    """`local` engines only: longest piece of text that is translated at once."""

    @model_validator(mode="after")
    def _coherent(self) -> Model:
        if self.engine == "openai" and not self.endpoints:
            raise ValueError("engine 'openai' needs 'endpoints'")
        if self.engine == "recorded" and not self.path:
            raise ValueError("engine 'recorded' needs the 'path' of its answers")
        if self.engine in ("vllm", "local") and not (self.hub or self.path):
            raise ValueError(f"engine {self.engine!r} needs 'hub' or 'path'")
        return self


class Benchmark(Entry):
    """One evaluation set: for decontamination and for scores."""

    path: str | list[str] | None = None
    config: str | None = None
    split: str = "test"
    language: str = "ar"
    columns: dict[str, str] = {}
    """Which columns hold the `question` and the `choices`."""


class Catalog(BaseModel):
    """Everything a recipe may name."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sources: dict[Key, Source] = {}
    models: dict[Key, Model] = {}
    benchmarks: dict[Key, Benchmark] = {}


class Loaded(BaseModel):
    """A catalog and the file it came from; relative paths in it are relative to `folder`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    catalog: Catalog
    document: yamlfile.Document

    @property
    def folder(self) -> Path:
        """Where the catalog's relative paths start."""
        return Path(self.document.file).resolve().parent


T = TypeVar("T", bound=BaseModel)


def load(path: Path) -> Loaded:
    """Read and validate a catalog. Raises InputError with every fault of the file."""
    document = yamlfile.read(path)
    catalog, faults = validate(Catalog, document)
    if catalog is None or faults:
        raise InputError(faults)
    return Loaded(catalog=catalog, document=document)


def validate(model: type[T], document: yamlfile.Document, data: Any = None) -> tuple[T | None, list[Fault]]:
    """`model` made from a document, or every fault of it, re-told in the file's own words and places."""
    try:
        return TypeAdapter(model).validate_python(document.data if data is None else data), []
    except ValidationError as error:
        return None, [_retold(model, document, dict(e)) for e in error.errors(include_url=False)]


def _retold(model: type[BaseModel], document: yamlfile.Document, error: dict[str, Any]) -> Fault:
    path = tuple(error["loc"])
    name, found = str(path[-1]) if path else "", error.get("input")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = fields_at(model, path[:-1])
        return document.fault(path, f"unknown field {name!r}{did_you_mean(name, known)}", key=True)
    if kind == "missing":
        return document.fault(path[:-1], f"field {name!r} is missing")
    if kind == "string_pattern_mismatch" and path and path[-1] == "[key]":
        return document.fault(path[:-1], f"{found!r} is not a name: use lower-case letters, digits, '.', '_' and '-'", key=True)
    if kind in ("literal_error", "enum"):
        options = [w.strip("' ") for w in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        return document.fault(path, f"{name}: {found!r} is not known{did_you_mean(str(found), options)}")
    if kind == "value_error":
        return document.fault(path, str(context["error"]))
    wanted = str(error["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    return document.fault(path, f"{name}: expected {wanted}, found {_shown(found)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(value)


def fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> set[str]:
    """The fields that may stand at `path` below `model` (looks through mappings, lists and unions)."""
    schema = model.model_json_schema()
    defs = schema.get("$defs", {})
    nodes = [schema]

    def spread(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return spread(defs[node["$ref"].rsplit("/", 1)[-1]])
        inner = [s for key in ("anyOf", "oneOf", "allOf") for s in node.get(key, [])]
        return [s for i in inner for s in spread(i)] if inner else [node]

    for part in path:
        below = []
        for node in (s for n in nodes for s in spread(n)):
            if isinstance(part, int):
                below += [node["items"]] if "items" in node else []
            elif part in node.get("properties", {}):
                below.append(node["properties"][part])
            elif isinstance(node.get("additionalProperties"), dict):
                below.append(node["additionalProperties"])
            elif any(node.get("properties", {}).get("step", {}).get("const") == part for _ in (0,)):
                below.append(node)  # the tag of a discriminated union
        nodes = below or nodes
    return {name for n in nodes for s in spread(n) for name in s.get("properties", {})}
