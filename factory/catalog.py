"""The catalog: every source, model and benchmark by name, with where it is, what it holds and its licence."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


class FieldError(ValueError):
    """What a model's own check has to say about one of its fields, so that the fault is shown there."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Entry(BaseModel):
    """What sources, models and benchmarks have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    hub: str | None = None
    """Repository id on the Hugging Face Hub."""
    revision: str | None = None
    """Commit or tag; if not given, the newest one is resolved at build and locked into the corpus."""
    licence: str = Field(min_length=1)
    """SPDX id (its own name where SPDX has none), or `unknown`, or `conflict` where its own pages disagree."""
    licence_page: str | None = None
    """Where the licence was read."""
    licence_note: str | None = None
    """The doubt about it, in words."""
    note: str | None = None
    """Anything else a user of it should know."""


class Sample(BaseModel):
    """A few rows of our own in the source's schema; used by profiles that say `sources: samples`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: str
    """File, relative to the catalog."""
    format: Format | None = None
    """Form of the file; guessed from its name if not given."""
    licence: str | None = None
    """Licence of the sample's rows; the source's if not given."""


class Subset(BaseModel):
    """One part of a mixture, named by the source's `subset` column."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    licence: str = Field(min_length=1)
    """As of a source."""
    language: str | None = None
    """Language code of the part, if not the source's; `mul` for many."""
    rows: int | None = None
    """Rows it holds, as far as known."""
    note: str | None = None
    """The doubt about its licence, and anything else a user of it should know."""


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
        _placed(self.hub, self.path)
        keys = set(self.mapping)
        if self.rows == "pair":
            if len(keys) != 2:
                raise FieldError("columns", f"columns of a pair source name two languages, found {_listed(keys)}")
        elif not (keys in ({"conversation"}, {"tree"}) or ({"prompt", "response"} <= keys <= TURN_COLUMNS)):
            unknown = sorted(keys - TURN_COLUMNS - {"conversation", "tree"})
            hint = (
                f"unknown {unknown[0]!r}{did_you_mean(unknown[0], TURN_COLUMNS)}"
                if unknown
                else f"found {_listed(keys)}"
            )
            raise FieldError("columns", f"columns are 'prompt' and 'response', or 'conversation', or 'tree': {hint}")
        if self.format == "moses" and not isinstance(self.path, dict):
            raise FieldError("format", "format 'moses' needs a 'path' per language: {en: FILE, ar: FILE}")
        if isinstance(self.path, dict) and self.format != "moses":
            raise FieldError("path", "a 'path' per language is for 'format: moses' only")
        if self.subsets and not self.subset:
            raise FieldError("subsets", "'subsets' needs 'subset': the column that names a row's part")
        return self

    @property
    def sampled(self) -> Source:
        """This source with the licence of its sample's rows."""
        if self.sample is None or self.sample.licence is None:
            return self
        return self.model_copy(update={"licence": self.sample.licence, "subsets": {}})

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
            raise FieldError("engine", "engine 'openai' needs 'endpoints'")
        if self.engine == "recorded" and not self.path:
            raise FieldError("engine", "engine 'recorded' needs the 'path' of its answers")
        if self.engine in ("vllm", "local") and not (self.hub or self.path):
            raise FieldError("engine", f"engine {self.engine!r} needs 'hub' or 'path'")
        return self


class Benchmark(Entry):
    """One evaluation set: for decontamination and for scores."""

    path: str | list[str] | None = None
    """File, glob or list of them, relative to the catalog."""
    config: str | None = None
    """Configuration on the Hub; all of them if not given."""
    split: str = "test"
    """Split on the Hub that is evaluated."""
    language: str = "ar"
    """Language code of the questions."""
    columns: dict[str, str] = {}
    """Which columns hold the `question` and the `choices`."""

    @model_validator(mode="after")
    def _coherent(self) -> Benchmark:
        _placed(self.hub, self.path)
        return self


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
    data = document.data if data is None else data
    try:
        return TypeAdapter(model).validate_python(data), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [_retold(model, document, data, alike) for alike in _per_place(data, found)]


def _placed(hub: str | None, path: Any) -> None:
    if hub is not None and path is not None:
        raise FieldError("path", "give either 'hub' or 'path', not both")
    if hub is None and path is None:
        raise ValueError("give 'hub' or 'path': where the files are")


def _per_place(data: Any, errors: Sequence[Any]) -> list[list[dict[str, Any]]]:
    """Errors that are one fault to a person: where a value may be of several types, pydantic has one for each."""
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # it is only short of the items that are wrong, which are told themselves
        places.setdefault(_standing(data, error), []).append(error)
    told: list[list[dict[str, Any]]] = []
    for place, found in places.items():
        fitting = [e for e in found if not _wrong_type(e)]
        if fitting:
            told += [[e] for e in fitting]
        elif not any(len(p) > len(place) and p[: len(place)] == place for p in places):
            told.append(found)  # else the value is of another of its types, in which something else is wrong
    return told


def _standing(data: Any, error: dict[str, Any]) -> tuple[Any, ...]:
    """A pydantic location without the branches of unions that it names: what of it stands, or should, in the file."""
    place = []
    for part in error["loc"]:
        if _holds(data, part):
            data = data[part]
            place.append(part)
    if error["type"] == "missing" or error["loc"][-1:] == ("[key]",):
        place.append(error["loc"][-1])
    return tuple(place)


def _holds(data: Any, part: Any) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _wrong_type(error: dict[str, Any]) -> bool:
    kind = str(error["type"])
    return kind.endswith(("_type", "_parsing")) or (kind == "literal_error" and not isinstance(error["input"], str))


def _retold(model: type[BaseModel], document: yamlfile.Document, data: Any, alike: list[dict[str, Any]]) -> Fault:
    error = alike[0]
    path, found, context = tuple(error["loc"]), error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(path[-1]), fields_at(model, path[:-1]))
            return document.fault(path, f"unknown field {path[-1]!r}{hint}", key=True)
        case "missing":
            return document.fault(path[:-1], f"field {path[-1]!r} is missing", key=True)
        case "string_pattern_mismatch" if path and path[-1] == "[key]":
            wanted = "use lower-case letters, digits, '.', '_' and '-'"
            return document.fault(path[:-1], f"{found!r} is not a name: {wanted}", key=True)
        case "union_tag_invalid":
            field, tag = context["discriminator"].strip("'"), str(context["tag"])
            hint = did_you_mean(tag, _options(context["expected_tags"]))
            return document.fault((*path, field), f"unknown {field} {tag!r}{hint}")
        case "union_tag_not_found":
            field = context["discriminator"].strip("'")
            return document.fault(path, f"a {field} begins with '{field}: ' and the name of a {field}")
        case "literal_error" if len(alike) == 1 and isinstance(found, str):
            hint = did_you_mean(found, _options(context["expected"]))
            return document.fault(path, f"{_named(data, path)}: {found!r} is not known{hint}")
        case "value_error":
            cause = context["error"]
            if isinstance(cause, FieldError):
                return document.fault((*path, cause.field), str(cause))
            return document.fault(path, str(cause), key=isinstance(found, dict))
    wanted = " or ".join(dict.fromkeys(_wanted(e) for e in alike))
    quotes = "; put it in quotes" if wanted.startswith("text") and isinstance(found, int | float) else ""
    return document.fault(path, f"{_named(data, path)}: expected {wanted}, found {_shown(found)}{quotes}")


FORMS = {
    r"^[a-z0-9][a-z0-9._-]*$": "lower-case letters, digits, '.', '_' and '-'",
    r"^[a-z][a-z0-9_]*$": "lower-case letters, digits and '_'",
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)?$": "a text of the rows, such as 'messages' or 'messages.user'",
    r"^[a-z][a-z0-9_]*(\.(\*|[a-z][a-z0-9_-]*))?(\.content)?$": "texts of the rows, such as 'messages.*.content'",
    r"^[a-z]{2,3}$": "a language code, such as 'ar'",
    r"^(dev|\d+\.\d+\.\d+(-[0-9a-z.-]+)?)$": "a version, such as '1.2.3' or 'dev'",
}
"""What the patterns of fields ask for, in words."""

_WANTED = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "at least {min_length}",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def _wanted(error: dict[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return f"one of {', '.join(_options(context['expected']))}"
    if kind == "string_pattern_mismatch":
        return FORMS.get(context["pattern"], f"text that matches {context['pattern']}")
    if kind in _WANTED:
        whole = {k: int(v) for k, v in context.items() if isinstance(v, float) and v.is_integer()}
        return _WANTED[kind].format(**{**context, **whole})
    return str(error["msg"]).removeprefix("Input should be ").removeprefix("a valid ")


def _options(expected: str) -> list[str]:
    return sorted(re.findall(r"'([^']*)'", expected))


def _named(data: Any, path: tuple[Any, ...]) -> str:
    """The last field of `path` that stands in the file, and which item of it is meant."""
    field, item = "the file", ""
    for part in path:
        if _holds(data, part):
            data = data[part]
            field, item = (field, f", item {part + 1}") if isinstance(part, int) else (str(part), "")
    return field + item


def _listed(names: set[str]) -> str:
    return ", ".join(repr(n) for n in sorted(names)) or "none"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if len(str(value)) <= 60 else repr(str(value)[:60]) + "…"


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
            elif "patternProperties" in node:  # a mapping whose keys must look like names
                below += node["patternProperties"].values()
            elif any(node.get("properties", {}).get("step", {}).get("const") == part for _ in (0,)):
                below.append(node)  # the tag of a discriminated union
        nodes = below or nodes
    return {name for n in nodes for s in spread(n) for name in s.get("properties", {})}
