"""The catalog: every source, model and benchmark by name, with where it is, what it holds and its licence."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hala_factory import yamlfile
from hala_factory.documented import Documented
from hala_factory.errors import Fault, InputError, did_you_mean
from hala_factory.licence_table import CONFLICT, TABLE, known
from hala_factory.rows import RowKind
from hala_factory.validation import FieldError, validate

Format = Literal["parquet", "jsonl", "json", "csv", "tsv", "tmx", "po", "moses"]
Shape = Literal["alpaca", "prompt_completion", "open_orca", "sharegpt", "messages"]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Scalar = str | int | float | bool
ARTIFACT = re.compile(r"[a-z0-9][a-z0-9._-]*(@[0-9a-z.-]+)?")
"""The name of a recipe, or `name@version` of what it made."""
INHERITED = "inherited"
"""The `licence` of a source that is a corpus: each of its rows has its own."""

SHAPES: dict[str, dict[str, str]] = {
    "alpaca": {"prompt": "instruction", "input": "input", "response": "output"},
    "prompt_completion": {"prompt": "prompt", "response": "completion"},
    "open_orca": {"system": "system_prompt", "prompt": "question", "response": "response"},
    "sharegpt": {"conversation": "conversations"},
    "messages": {"conversation": "messages"},
}
"""Short names of well-known column layouts, and what they stand for."""

TURN_COLUMNS = frozenset({"system", "prompt", "input", "response"})
QUESTION_COLUMNS = frozenset({"question", "choices", "context", "id"})
ANSWER_COLUMNS = frozenset({"answer", "subset", "topic"})


class Entry(Documented):
    """What sources, models and benchmarks have in common."""

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
    licence_says: tuple[str, ...] = ()
    """What its own pages say, where `licence` is `conflict`; the strictest of it counts."""
    also_under: tuple[str, ...] = ()
    """Further terms that go along with it, e.g. a provider's on what its models wrote: `OpenAI-terms`."""
    note: str | None = None
    """Anything else a user of it should know."""

    @model_validator(mode="after")
    def _licensed(self) -> Self:
        if self.licence_says and self.licence != CONFLICT:
            raise FieldError("licence_says", f"'licence_says' is for 'licence: {CONFLICT}', found {self.licence!r}")
        terms = [name for name, each in TABLE.items() if each.condition]
        for name in self.also_under:
            if known(name) not in terms:
                raise FieldError(
                    "also_under", f"no terms {name!r} in the table of licences{did_you_mean(name, terms)}"
                )
        return self


class Sample(Documented):
    """A few rows of our own in the source's schema; used by profiles that say `sources: samples`."""

    path: str
    """File, relative to the catalog."""
    format: Format | None = None
    """Form of the file; guessed from its name if not given."""
    licence: str | None = None
    """Licence of the sample's rows; the source's if not given."""


class Subset(Documented):
    """One part of a mixture, named by the source's `subset` column."""

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
    ref: str | None = None
    """A corpus in the store, made by the recipe of this name (`name@version` for one version of it whatever the
    recipe says). Its rows come as they are, with ids, licences and sources; with `rows: pair`, each translated message
    of an instruction corpus becomes a pair. Needs `language`, and neither `columns` nor `licence`."""
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
    subsets: dict[str, Subset] = Field({})
    """Licence and language of the parts, where they differ from the whole."""
    strip: list[str] = Field([])
    """Texts cut off from the end of every message, e.g. a stray `<|endoftext|>`."""
    size: int | None = None
    """Rows it holds, as far as known; for plans."""
    sample: Sample | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_the_store(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("ref") is None:
            return data
        for field in ("columns", "licence", "subset", "subsets", "strip", "format", "files", "config", "sample"):
            if field in data:
                raise FieldError(field, f"{field!r} is not for a 'ref': the rows of a corpus say it themselves")
        spoken = data.get("language")
        pairs = data.get("rows") == "pair" and isinstance(spoken, list)
        columns = {str(code): f"translation.{code}" for code in spoken or ()} if pairs else SHAPES["messages"]
        return {**data, "columns": columns, "licence": INHERITED}

    @model_validator(mode="after")
    def _coherent(self) -> Source:
        if self.ref is None:
            _placed(self.hub, self.path)
        elif self.hub is not None or self.path is not None:
            raise FieldError("ref", "'ref' stands in place of 'hub' and 'path'")
        elif not ARTIFACT.fullmatch(self.ref):
            raise FieldError("ref", f"ref: expected the name of a recipe, or name@version, found {self.ref!r}")
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
        ours = {"licence": self.sample.licence, "licence_says": (), "also_under": (), "licence_note": None}
        return self.model_copy(update={**ours, "licence_page": None, "subsets": {}})

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


class Batch(Documented):
    """Where requests are written and answers are read, for a model (or people) that answers later."""

    folder: str = Field(min_length=1)
    """Folder of the files, relative to the catalog; of this model alone."""
    form: Literal["openai", "csv", "jsonl"] = "openai"
    """`openai`: files of the Batch API; `csv`, `jsonl`: texts with a column for people to fill in."""
    max_requests: int = Field(50_000, ge=1)
    """Requests of one file; the Batch API takes no more than these."""


class Price(Documented):
    """What a million tokens cost."""

    prompt: float = Field(ge=0)
    """Tokens that the model reads."""
    output: float = Field(ge=0)
    """Tokens that it writes."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """ISO 4217 code."""

    def of(self, prompt_tokens: int, output_tokens: int) -> float:
        """The price of so many tokens."""
        return (prompt_tokens * self.prompt + output_tokens * self.output) / 1_000_000


def _named_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            "expected the name of an environment variable (letters, digits, '_'), found something else, which is not "
            "shown here in case it is a key; put the key into the environment and name the variable"
        )
    return value


Variable = Annotated[str, AfterValidator(_named_variable)]
"""The name of an environment variable that holds a key."""


class Address(Documented):
    """One of several endpoints of a model."""

    url: str
    """Base URL of the server."""
    weight: float = Field(1, gt=0, le=1000)
    """Its share of the requests beside the others', as long as all of them have room."""
    key_env: Variable | None = None
    """The environment variable that holds its key, if not the model's `api_key_env`."""


class Throughput(Documented):
    """How fast a model is, on what; for plans."""

    output_per_second: float = Field(gt=0)
    """Output tokens a second, over all GPUs (or endpoints) together."""
    gpus: int = Field(1, ge=0)
    """GPUs that serve it so fast; 0: GPUs are not what is paid."""
    source: str = Field(min_length=1)
    """Where the number is from."""


class Hourly(Documented):
    """What an hour of one GPU costs."""

    amount: float = Field(ge=0)
    """Price of the hour."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """ISO 4217 code."""


class Model(Entry):
    """One model (or file of answers) that a step may ask, and the engine that answers for it."""

    engine: Literal["openai", "vllm", "recorded", "local", "batch"]
    """`openai`: endpoints that run already; `vllm`: a server we start; `recorded`: a file; `local`: CTranslate2;
    `batch`: files of requests that are answered elsewhere, by a batch API or by people."""
    path: str | list[str] | None = None
    """Checkpoint folder, or the file(s) of recorded answers, relative to the catalog."""
    ref: str | None = None
    """A model in the store, made by the recipe of this name; `name@version` for one version of it whatever the
    recipe says."""
    model: str | None = None
    """The name under which endpoints know the model; `hub` if not given."""
    endpoints: list[str | Address] = Field([])
    """OpenAI-compatible servers, each by its base URL, e.g. `http://127.0.0.1:8000/v1`, or as
    `{url: …, weight: 2, key_env: …}`."""
    max_concurrency: int = Field(1024, ge=1, le=4096)
    """Requests under way at most at each server; how many there are below that follows from what it takes."""
    api_key_env: Variable | None = None
    """The environment variable that holds the key."""
    batch: Batch | None = None
    """`batch` engines only: where the files are, and in which form."""
    price_per_million: Price | None = None
    """What a million tokens cost, if one pays by tokens: `{prompt: 0.15, output: 0.60}`."""
    price_per_gpu_hour: Hourly | None = None
    """What an hour of a GPU costs, if one pays by time: `{amount: 2.50}`; tokens with a price are not paid twice."""
    throughput: Throughput | None = None
    """How fast it is where nobody has measured it yet: `{output_per_second: 2400, source: …}`."""
    output_ratio: float | None = Field(None, gt=0)
    """Tokens it writes per token of the text that it translates, if known; for plans."""
    chat_template: str | None = None
    """Which chat template endpoints apply, in a word or a digest, as they do not say it: part of what decides an
    answer."""
    quantisation: str | None = None
    """E.g. FP8_DYNAMIC; part of what decides an answer."""
    context: int = Field(4096, ge=128)
    """Tokens that fit the model: prompt and answer."""
    serve: list[str] = Field([])
    """Further arguments of the vllm server."""
    by: str | None = None
    """Who made recorded answers; named in card and report."""
    tokenizer: str | None = None
    """Where counts of tokens come from, if not the model itself: a `tokenizer.json` or its folder, relative to the
    catalog, or an id on the Hub whose copy stands in the Hub's cache."""
    max_sentence_chars: int = Field(600, ge=20)
    """`local` engines only: longest piece of text that is translated at once."""
    prefix: str = ""
    """`local` engines only: put before every piece, e.g. `>>ara<<` for a Marian with several target languages."""

    @model_validator(mode="after")
    def _coherent(self) -> Model:
        if self.engine == "openai" and not self.endpoints:
            raise FieldError("engine", "engine 'openai' needs 'endpoints'")
        if self.engine == "recorded" and not self.path:
            raise FieldError("engine", "engine 'recorded' needs the 'path' of its answers")
        if self.engine == "batch" and not self.batch:
            raise FieldError("engine", "engine 'batch' needs 'batch': the folder of its files")
        if self.batch and self.engine != "batch":
            raise FieldError("batch", f"'batch' is for engine 'batch' only, and this is {self.engine!r}")
        if self.engine in ("vllm", "local") and not (self.hub or self.path or self.ref):
            raise FieldError("engine", f"engine {self.engine!r} needs 'hub', 'path' or 'ref'")
        if self.ref and not ARTIFACT.fullmatch(self.ref):
            raise FieldError("ref", f"ref: expected the name of a recipe, or name@version, found {self.ref!r}")
        if self.ref and (self.hub or self.path or self.engine not in ("vllm", "local")):
            raise FieldError("ref", "'ref' is for engines 'vllm' and 'local', in place of 'hub' and 'path'")
        return self


Pinned = TypeVar("Pinned", Source, Model)


class Benchmark(Entry):
    """One evaluation set: for decontamination and for scores."""

    path: str | list[str] | None = None
    """File, glob or list of them, relative to the catalog."""
    config: str | None = None
    """Configuration on the Hub; all of them if not given."""
    split: str = "test"
    """Split on the Hub that is evaluated."""
    files: list[str] | None = None
    """Globs within the Hub repository; if not given, the Hub's own listing of the split."""
    format: Literal["parquet", "jsonl", "json", "csv", "tsv"] | None = None
    """Form of the files; guessed from their names if not given."""
    language: str = "ar"
    """Language code of the questions."""
    each: str | None = None
    """Where a record holds several questions: the path to their list, e.g. `paragraphs.qas` as SQuAD has it. What
    stands around a question counts as its own columns."""
    columns: dict[str, str | list[str]] = Field({})
    """Which columns hold the `question`, its `choices`, the passage it is about (`context`) and its `id`: one column
    each, by number in a file without a header; `choices` is a list, or several columns; a `question` of several
    columns is joined. For scores: the right `answer`; the `subset` (one column or several), by which a score is
    averaged; and the `topic` that a prompt names."""
    answer_as: Literal["letter", "arabic_letter", "index", "number", "text"] = "letter"
    """How the answer is spelt: as a letter from A, an Arabic letter (أ ب ج د هـ), a number from 0 (`index`) or from 1
    (`number`), each in the order of the choices; or as the `text` of the right choice."""
    unscored: list[str] = Field([])
    """Subsets that rows are compared with, and that no score is made of."""
    sample: Sample | None = None
    """A few questions of our own in these columns; used by profiles that say `sources: samples`."""

    @model_validator(mode="after")
    def _coherent(self) -> Benchmark:
        _placed(self.hub, self.path)
        if unknown := sorted(set(self.columns) - QUESTION_COLUMNS - ANSWER_COLUMNS):
            hint = did_you_mean(unknown[0], QUESTION_COLUMNS | ANSWER_COLUMNS)
            raise FieldError("columns", f"columns of a benchmark: unknown {unknown[0]!r}{hint}")
        if self.columns and "question" not in self.columns:
            raise FieldError(
                "columns", f"columns of a benchmark name its 'question': found {_listed(set(self.columns))}"
            )
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
    versions: dict[str, str] = {}
    """Name of a recipe → the version of its artifact that a `ref` without one means."""

    def artifact(self, ref: str) -> str:
        """`name@version` of what a `ref` names. Raises InputError where it says no version and no recipe does."""
        name, _, version = ref.partition("@")
        if not version and name not in self.versions:
            known = did_you_mean(name, self.versions) if self.versions else ""
            raise InputError(f"ref {ref!r}: no recipe of that name{known}; or name a version that stands: {ref}@1.0.0")
        return f"{name}@{version or self.versions[name]}"

    def pinned(self, versions: dict[str, str]) -> Loaded:
        """The same catalog, whose refs name versions wherever a recipe says which."""

        def pin(entry: Pinned) -> Pinned:
            if not entry.ref or "@" in entry.ref or entry.ref not in versions:
                return entry
            return entry.model_copy(update={"ref": f"{entry.ref}@{versions[entry.ref]}"})

        sources = {name: pin(source) for name, source in self.catalog.sources.items()}
        models = {name: pin(model) for name, model in self.catalog.models.items()}
        catalog = self.catalog.model_copy(update={"sources": sources, "models": models})
        return self.model_copy(update={"catalog": catalog, "versions": versions})

    @property
    def folder(self) -> Path:
        """Where the catalog's relative paths start."""
        return Path(self.document.file).resolve().parent


def load(path: Path) -> Loaded:
    """Read and validate a catalog. Raises InputError with every fault of the file."""
    document = yamlfile.read(path)
    catalog, faults = validate(Catalog, document)
    if catalog is not None:
        faults += _shared_folders(catalog, document)
    if catalog is None or faults:
        raise InputError(faults)
    return Loaded(catalog=catalog, document=document)


def _shared_folders(catalog: Catalog, document: yamlfile.Document) -> list[Fault]:
    """The batch models whose files would stand among those of another: one build could not use both."""
    owners: dict[str, str] = {}
    faults = []
    for name, model in catalog.models.items():
        if model.batch is None:
            continue
        owner = owners.setdefault(os.path.normpath(model.batch.folder), name)
        if owner != name:
            told = f"folder: {model.batch.folder!r} is that of model {owner!r} already; give each a folder of its own"
            faults.append(document.fault(("models", name, "batch", "folder"), told))
    return faults


def _placed(hub: str | None, path: Any) -> None:
    if hub is not None and path is not None:
        raise FieldError("path", "give either 'hub' or 'path', not both")
    if hub is None and path is None:
        raise ValueError("give 'hub' or 'path': where the files are")


def _listed(names: set[str]) -> str:
    return ", ".join(repr(n) for n in sorted(names)) or "none"
