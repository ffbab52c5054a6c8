"""Corpora of the store as sources: their rows come as they are, or each translated message as a pair.

The model:
- What decides is the digest of the corpus, not the bytes of its files, which hold measures too.
- A row keeps its id, licence, subset and source; `origin` says where in the corpus it stands.
- A pair that is made of a message has an id of its own content, and the number of the message in `origin.part`.
  Messages that nobody translated become no pair, and are told in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory import lineage, rows
from hala_factory.catalog import Source
from hala_factory.errors import InputError, did_you_mean
from hala_factory.reader.columns import expect
from hala_factory.reader.files import Corpus, File, Located
from hala_factory.reader.mapping import Conditions, judged
from hala_factory.reader.opening import ARROW_THREADS, reading, seekable
from hala_factory.store import Store

NOT_TRANSLATED, UNMATCHED = "not_translated", "unmatched"
_FACTS = ("engine", "hub", "revision", "by")
_BY = ("translator", "teacher")


def locate(source: Source, artifact: str, store: Store, digests: Callable[[Path], str]) -> Located:
    """The files of the corpus `artifact` (`name@version`), read as `source` says.

    Raises:
        InputError: The store does not hold it, a file of it is gone or changed, or its rows are of another kind.
    """
    name, _, version = artifact.partition("@")
    manifest = store.manifest(name, version)
    if manifest is None:
        built = [f"{m['name']}@{m['version']}" for m in store.versions()]
        near = did_you_mean(artifact, built) if built else ""
        raise InputError(
            f"'ref' names {artifact}, which is not in {store.root}{near}; build it first: hala-factory build {name}"
        )
    folder = store.corpus(name, version)
    files = tuple(
        File(Path(told).name, str(folder / told), facts["bytes"], facts["sha256"])
        for told, facts in sorted(manifest["files"].items())
        if told.startswith("data/")
    )
    for file in files:
        _whole(file, artifact, digests)
    lock = manifest["lock"]
    origins = {n: {"hub": s["hub"], "revision": s["revision"]} for n, s in lock["sources"].items()}
    models = {n: {k: m[k] for k in _FACTS if m.get(k)} for n, m in lock["models"].items()}
    for use in lineage.corpora(lock["sources"]):
        del origins[use]
        origins |= {n: facts for n, facts in lock["sources"][use]["origins"].items() if n not in origins}
        models |= {n: facts for n, facts in lock["sources"][use]["models"].items() if n not in models}
    corpus = Corpus(
        artifact,
        manifest["digest"],
        tuple(manifest["licence"]["parts"]),
        origins,
        models,
        {n: counts["kept"] for n, counts in manifest["sources"].items()},
        _sides(source, manifest),
    )
    return Located(None, files, "parquet", corpus)


def _whole(file: File, artifact: str, digests: Callable[[Path], str]) -> None:
    path, problem = Path(file.url), ""
    if not path.is_file():
        problem = "is missing"
    elif path.stat().st_size != file.size:
        problem = f"has {path.stat().st_size:,} bytes; expected {file.size:,}"
    elif digests(path) != file.digest:
        problem = "is not as it was written"
    if problem:
        name = artifact.partition("@")[0]
        raise InputError(
            f"{artifact}: data/{file.name} {problem}; see 'hala-factory verify {artifact}', remove that version's "
            f"folder and build it again: hala-factory build {name}"
        )


def _sides(source: Source, manifest: dict[str, Any]) -> dict[str, str] | None:
    """Which column of messages has which language, where messages are to be pairs; None: rows come as they are."""
    artifact = f"{manifest['name']}@{manifest['version']}"
    columns, wanted = manifest["columns"], list(rows.schema(source.rows, source.languages))[-1]
    if wanted in columns:
        expected = str(rows.schema(source.rows, source.languages)[wanted])
        if columns[wanted] != expected:
            raise InputError(f"{artifact}: column {wanted!r}: expected {expected}, found {columns[wanted]}")
        return None
    if wanted == "messages":
        raise InputError(f"{artifact} holds pairs, and no messages; say 'rows: pair' of the source")
    done = [s for s in manifest["steps"] if s["step"] == "translate" and {s["from"], s["to"]} == {*source.languages}]
    if not done:
        both = " and ".join(map(repr, source.languages))
        raise InputError(
            f"{artifact} holds no pairs, and no step 'translate' of it went between {both}, so that its messages are "
            "no pairs either; leave out 'rows: pair', or name a corpus that was translated"
        )
    last = done[-1]
    sides = {last["from"]: last["keep"] or f"messages_{last['from']}", last["to"]: "messages"}
    return {language: sides[language] for language in source.languages}


def frames(
    source: Source, located: Located, where: tuple[str, ...], skip: int, size: int
) -> Generator[tuple[pl.DataFrame, int], None, None]:
    """What is needed of the rows in chunks, and how many rows of the corpus are consumed after each."""
    assert located.corpus is not None
    sides = located.corpus.sides
    body = [*sides.values()] if sides else [list(rows.schema(source.rows, source.languages))[-1]]
    base = 0
    for file in located.files:
        with reading(file), seekable(file) as opened:
            parquet = pq.ParquetFile(opened)
            names = parquet.schema_arrow.names
            expect(file.name, [*rows.HEAD, *body, *where], names)
            needed = list(dict.fromkeys([*rows.HEAD, *body, *where, *(c for c in _BY if sides and c in names)]))
            position = 0
            for group in range(parquet.num_row_groups):
                height = parquet.metadata.row_group(group).num_rows
                if base + position + height <= skip:
                    position += height
                    continue
                for batch in parquet.iter_batches(size, row_groups=[group], columns=needed, use_threads=ARROW_THREADS):
                    over = min(batch.num_rows, max(0, skip - base - position))
                    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch.slice(over)])))
                    place = pl.int_range(position + over + 1, position + batch.num_rows + 1, dtype=pl.Int64)
                    position += batch.num_rows
                    if frame.height:
                        yield _taken(frame, file.name, place, base, where), base + position
            base += parquet.metadata.num_rows


def _taken(frame: pl.DataFrame, file: str, place: pl.Expr, base: int, where: tuple[str, ...]) -> pl.DataFrame:
    none = pl.lit(None, pl.String)
    raw = [pl.col(path).cast(pl.String).alias(f"raw:{path}") for path in where]
    told = frame.with_columns(position=place, file=pl.lit(file), unread=pl.lit(False), reason=none, detail=none)
    return told.with_columns(*raw, record=pl.col("position") + base)


def to_rows(taken: pl.DataFrame, *, name: str, source: Source, corpus: Corpus, where: Conditions) -> pl.DataFrame:
    """Rows of `rows.schema`, then `rows.LEDGER` (`status` is null for a row that stays), then `record`.

    A row that lacks an id, a source, a licence or a text is a failed row.
    """
    columns = rows.schema(source.rows, source.languages)
    body = list(columns)[-1]
    if corpus.sides is None:
        frame = _faulty(taken.with_columns(part=pl.lit(0, pl.Int32)), body)
    else:
        frame = _pairs(taken, corpus.sides)
    frame = judged(frame, body, where)
    frame = frame.with_columns(
        pl.coalesce("status", pl.when("skipped").then(pl.lit("dropped"))).alias("status"),
        pl.when(pl.col("status").is_null() & pl.col("skipped"))
        .then(pl.lit(NOT_TRANSLATED))
        .otherwise(pl.col("reason"))
        .alias("reason"),
        pl.coalesce("detail", pl.when("skipped").then("skipping")).alias("detail"),
    )
    file = pl.concat_str(pl.lit(lineage.file_in(name, "")), "file")
    frame = frame.with_columns(
        pl.struct(file.alias("file"), "position", "part").alias("origin"), pl.lit("source").alias("step")
    )
    kept = pl.col("status").is_null()
    ledger = [pl.when(kept).then(None).otherwise(pl.col(c)).alias(c) for c in rows.LEDGER]
    return frame.select(*(pl.col(c).cast(t) for c, t in columns.items()), *ledger, "record")


def _faulty(frame: pl.DataFrame, body: str) -> pl.DataFrame:
    """Rows as they are, those named that lack something."""
    if isinstance(frame.schema[body], pl.Struct):
        lacks = pl.col(body).is_null() | pl.any_horizontal(pl.col(body).struct.field("*").is_null())
    else:
        turn = pl.element().struct
        broken = (turn.field("role").is_null() | turn.field("content").is_null()).any()
        lacks = pl.col(body).is_null() | pl.col(body).list.eval(broken).list.first().fill_null(False)
    return _lacking(frame, body, lacks).with_columns(skipped=pl.lit(False), skipping=pl.lit(None, pl.String))


def _lacking(frame: pl.DataFrame, body: str, lacks: pl.Expr) -> pl.DataFrame:
    """The rows with `reason` and `detail` where they lack their text, or what every row has."""
    heads = {c: pl.col(c).is_null() for c in ("id", "source", "licence")}
    missing = {**heads, body: lacks}
    said = pl.coalesce([pl.when(lacking).then(pl.lit(f"{c} is null")) for c, lacking in missing.items()])
    frame = frame.with_columns(reason=pl.when(said.is_not_null()).then(pl.lit("null")), detail=said)
    return frame.with_columns(pl.col("id", "source", "licence").fill_null("unknown"))


def _pairs(taken: pl.DataFrame, sides: dict[str, str]) -> pl.DataFrame:
    """One line per message with its texts in both languages; of rows whose messages do not match, one that fails."""
    ones, others = (pl.col(column) for column in sides.values())
    whole = _lacking(taken, "messages", ones.is_null() & others.is_null())
    heights = ones.list.len(), others.list.len()
    unmatched = (heights[0] != heights[1]).fill_null(False)
    whole = whole.with_columns(
        reason=pl.coalesce("reason", pl.when(unmatched).then(pl.lit(UNMATCHED))),
        detail=pl.coalesce("detail", pl.when(unmatched).then(pl.format("{} and {} messages", *heights))),
        native=ones.is_null() | others.is_null(),
    )
    fine = pl.col("reason").is_null() & (pl.coalesce(ones, others).list.len() > 0)  # a row without messages is told
    whole = whole.with_columns(
        one=pl.when(fine).then(pl.coalesce(ones, others)), other=pl.when(fine).then(pl.coalesce(others, ones))
    )
    lines = whole.explode("one", "other")
    texts = [pl.col(c).struct.field("content") for c in ("one", "other")]
    role = pl.col("other").struct.field("role")
    lines = lines.with_columns(
        part=pl.int_range(pl.len()).over("record").cast(pl.Int32),
        role=role,
        translation=pl.struct(text.alias(language) for language, text in zip(sides, texts, strict=True)),
    )
    by = {c: pl.col(c) if c in taken.columns else pl.lit(None, pl.String) for c in _BY}
    same = texts[0].str.strip_chars() == texts[1].str.strip_chars()
    blank = pl.any_horizontal(text.fill_null("").str.strip_chars() == "" for text in texts)
    why = (
        pl.when(pl.col("native") | by["translator"].is_null())
        .then(pl.lit("the row was not translated"))
        .when(by["teacher"].is_not_null() & (pl.col("role") == "assistant"))
        .then(pl.lit("the answer was written by a teacher, and is no translation"))
        .when(blank)
        .then(pl.lit("there is no text"))
        .when(same.fill_null(False))
        .then(pl.lit("it is the same in both languages"))
    )
    place = pl.format("message {} ({}): ", pl.col("part") + 1, pl.col("role").fill_null("?"))
    lines = lines.with_columns(skipping=pl.when(pl.col("reason").is_null()).then(pl.concat_str(place, why)))
    lines = lines.with_columns(skipped=pl.col("skipping").is_not_null())
    return lines.with_columns(_ids(lines))


def _ids(lines: pl.DataFrame) -> pl.Series:
    """Ids of the pairs, of their content and the source of their row; a row that fails keeps its own."""
    made: list[str | None] = [None] * lines.height
    for (source,), part in lines.with_row_index("line").partition_by("source", as_dict=True).items():
        for line, own in zip(part["line"], rows.row_ids(str(source), part["translation"]), strict=True):
            made[line] = own
    found = pl.Series("id", made, dtype=pl.String)
    return found.zip_with(lines["reason"].is_null(), lines["id"])
