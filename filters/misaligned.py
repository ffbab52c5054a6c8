"""Misaligned: stretches of a parallel file in which every source stands beside a neighbour's translation."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Barrier, TextPath, register

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

_NAME = r"\p{Lu}\p{L}+"
_SOUNDS = r"\b[A-Z]{3,}\b"
_PREFIX = r"\b(?:[وف]?(?:[بك]?ال|لل)|[وفبكل])"
"""The article and what is written in one with it."""
# What a found and a missing anchor speak for a pair, against the pair with a neighbour: ln(q/p) and ln((1-q)/(1-p))
# with q the share of anchors found in the own translation and p in that of a neighbour of the same document, over
# NTREX-128, TICO-19 and Tatoeba: names of three sounds .5 and .1, longer ones .4 and .05, single digits .9 and
# .1, longer numbers .9 and .07.
_SPEAKS = {"short_name": (1.6, -0.6), "name": (2.1, -0.45), "digit": (2.2, -2.2), "number": (2.6, -2.2)}
_MOST = 6.0
"""What the anchors of one side of one pair can say at most: a list of names counts as a few names."""
_SPREAD = 3.0
"""Variance of a translation's length per character of its source (3.3 in NTREX-128, 3.1 in TICO-19); the model is
that of Gale and Church, Computational Linguistics 19(1), 1993."""
_SURPRISE = 9.0
"""Largest square of a length's deviation that counts, in variances: beyond three sigma the model is wrong."""
_DOUBT = 0.01
"""Speaks against a shift where nothing else does. Where the other target is missing not even this does, so such rows
go with the stretch they end."""
_CHUNK = 100_000
"""Rows whose anchors are in memory together."""


@register
class Misaligned(Barrier):
    """Drop stretches of rows whose sources fit the targets of rows a little before or after them better.

    One line too many on one side of a file shifts all that follow. Rows of one file are followed in its order,
    and for each the evidence is summed that its source belongs to the target one, two, … rows on: numbers, names
    (also across Latin and Arabic script, by their consonants) and lengths. A stretch is dropped where the
    evidence for one and the same shift, summed over its rows, is beyond `min_evidence`; `detail` tells the shift
    and the stretch. A row's place is its position in the file it came from, so rows that fell before do not shift
    their neighbours; rows whose order is not that of a parallel text show no shift.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Rome has 2.8 million people. → يسكن روما 2.8 مليون نسمة.",
        "dropped": "Rome has 2.8 million people. → تقع لندن على نهر التايمز. (and so on for the rows that follow)",
    }

    step: Literal["misaligned"] = "misaligned"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    max_shift: Annotated[int, Field(ge=1, le=20)] = 3
    """Most rows by which a target may stand before or after its source to be looked for."""
    min_rows: Annotated[int, Field(ge=1)] = 5
    """Fewest rows of a stretch that is dropped."""
    min_evidence: Annotated[float, Field(gt=0)] = 15.0
    """Smallest evidence for a stretch: natural logarithm of how much likelier its rows are shifted than not."""

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        said = frame.select("origin", source=rows.text(self.source), target=rows.text(self.target))
        place = [pl.col("origin").struct.field(name) for name in ("file", "position", "part")]
        sides = [
            part
            for side in ("source", "target")
            for part in (
                pl.col(side).str.strip_chars().str.len_chars().alias(f"{side}_chars"),
                _anchors(pl.col(side)).alias(f"{side}_anchors"),
                _answers(pl.col(side)).alias(f"{side}_answers"),
            )
        ]
        return said.select(*place, *sides)

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        chars = index.group_by("source").agg(pl.col("source_chars", "target_chars").sum().cast(pl.Float64)).collect()
        ratios = {name: (target / source if source and target else 1.0) for name, source, target in chars.iter_rows()}
        thin = index.select(
            "shard", "row", pl.col("source", "file").cast(pl.Categorical), "position", pl.col("part").fill_null(0)
        ).collect()
        begins, place = _places(thin)
        shifts = [d for d in range(-self.max_shift, self.max_shift + 1) if d]
        gains = np.zeros((len(shifts), thin.height), np.float32)
        for start in range(0, thin.height, _CHUNK):
            before = max(0, start - self.max_shift)
            part = index.slice(before, start - before + _CHUNK + self.max_shift).collect()
            here = slice(before, before + part.height)
            found = _gains(part, ratios, np.cumsum(begins[here]), place[here], shifts)
            end = min(start + _CHUNK, thin.height)
            gains[:, start:end] = found[:, start - before : end - before]
        starts = np.flatnonzero(begins).tolist()
        stretches = [
            (number, first + start, end + start, evidence)
            for start, stop in pairwise([*starts, thin.height])
            for number, first, end, evidence in self._stretches(gains[:, start:stop])
        ]
        return self._told(thin, shifts, stretches).lazy()

    def _stretches(self, gains: Floats) -> list[tuple[int, int, int, float]]:
        """The shifted stretches of one file: which shift, from, to (exclusive), evidence."""
        found: list[tuple[int, int, int, float]] = []
        for first, end in _regions(gains, self.min_evidence):
            path = _likeliest(gains[:, first:end], self.min_evidence / 2)
            edges = np.flatnonzero(np.diff(path, prepend=-2, append=-2))
            for start, stop in pairwise(edges.tolist()):
                number = int(path[start])
                if number >= 0 and stop - start >= self.min_rows:
                    evidence = float(gains[number, first + start : first + stop].sum())
                    found.append((number, int(first + start), int(first + stop), evidence))
        return found

    def _told(
        self, thin: pl.DataFrame, shifts: list[int], stretches: list[tuple[int, int, int, float]]
    ) -> pl.DataFrame:
        lines = [pl.DataFrame(schema={"shard": pl.UInt32, "row": pl.UInt32, "reason": pl.String, "detail": pl.String})]
        for number, start, stop, evidence in stretches:
            fallen = thin[start:stop]
            at, to = fallen["position"][0], fallen["position"][-1]
            ahead = f"{abs(shifts[number])} {'after' if shifts[number] > 0 else 'before'}"
            detail = f"positions {at} to {to} fit the targets {ahead} their own; evidence {evidence:.0f}"
            lines.append(fallen.select("shard", "row", reason=pl.lit("shifted"), detail=pl.lit(detail)))
        return pl.concat(lines)


def _anchors(said: pl.Expr) -> pl.Expr:
    """What a partner should carry: numbers, and names by their consonants (fewer than three say too little)."""
    names = text.consonants(said.str.extract_all(_NAME).list.join(" "))
    return pl.concat_list(names.str.extract_all(_SOUNDS), text.numbers(said)).list.unique()


def _answers(said: pl.Expr) -> pl.Expr:
    """All that an anchor may meet in a text: its numbers, and the consonants of its words with and without prefix."""
    plain = text.matching_key(said)
    sounds = text.consonants(pl.concat_str(plain, pl.lit(" "), plain.str.replace_all(_PREFIX, "")))
    return pl.concat_list(sounds.str.extract_all(_SOUNDS), text.numbers(said)).list.unique()


def _places(thin: pl.DataFrame) -> tuple[npt.NDArray[np.bool_], Indices]:
    """Where a file begins, and every row's place in its file: its position, later by one for each further part."""
    previous = pl.col("source", "file", "position", "part").shift(1).name.prefix("last_")
    after = (pl.col("position") > pl.col("last_position")) | (
        (pl.col("position") == pl.col("last_position")) & (pl.col("part") > pl.col("last_part"))
    )
    same = (pl.col("source") == pl.col("last_source")) & pl.col("file").eq_missing(pl.col("last_file")) & after
    begins = thin.with_columns(previous).select(~same.fill_null(False)).to_series().to_numpy()
    place = thin["position"].to_numpy() + np.cumsum(thin["part"].to_numpy() > 0)
    return begins, place.astype(np.int64)


def _gains(part: pl.DataFrame, ratios: dict[str, float], file: Indices, place: Indices, shifts: list[int]) -> Floats:
    """For every shift and row: how much better the row's source fits the target so many places on than its own."""
    anchors, answers = _coded(part)
    ratio = part["source"].replace_strict(ratios, return_dtype=pl.Float64).to_numpy()
    number = np.arange(part.height)
    own = _fit(part, number, number, ratio, anchors, answers)
    gains = np.zeros((len(shifts), part.height))
    reach = max(shifts)
    for step in range(-reach, reach + 1):
        partner = number + step
        inside = (partner >= 0) & (partner < part.height) & (step != 0)
        left, right = number[inside], partner[inside]
        near = (file[left] == file[right]) & (np.abs(place[right] - place[left]) <= reach)
        left, right = left[near], right[near]
        better = _fit(part, left, right, ratio, anchors, answers) - own[left] - _DOUBT
        for line, shift in enumerate(shifts):
            meant = place[right] - place[left] == shift
            gains[line, left[meant]] = better[meant]
    return gains


Coded = tuple[Indices, Indices, Floats, Floats]


def _coded(part: pl.DataFrame) -> tuple[dict[str, Coded], dict[str, Indices]]:
    """Anchors as (row, code, what it says if found, if not), and what they may meet as sorted codes with the row."""
    lists = {}
    for side in ("source", "target"):
        for kind in ("anchors", "answers"):
            each = part.select(row=pl.int_range(pl.len(), dtype=pl.Int64), word=f"{side}_{kind}")
            lists[side, kind] = each.filter(pl.col("word").list.len() > 0).explode("word")
    known = pl.concat([each["word"] for each in lists.values()]).unique().sort()
    anchors, answers = {}, {}
    for (side, kind), each in lists.items():
        code = known.search_sorted(each["word"]).to_numpy().astype(np.int64)
        row = each["row"].to_numpy()
        if kind == "answers":
            answers[side] = np.sort((row << 32) | code)
        else:
            said = each.select(_kind(pl.col("word")).alias("kind")).select(
                found=pl.col("kind").replace_strict({kind: said for kind, (said, _) in _SPEAKS.items()}),
                missing=pl.col("kind").replace_strict({kind: said for kind, (_, said) in _SPEAKS.items()}),
            )
            anchors[side] = (row, code, said["found"].to_numpy(), said["missing"].to_numpy())
    return anchors, answers


def _kind(word: pl.Expr) -> pl.Expr:
    short, number = word.str.len_bytes(), word.str.contains("^[0-9]")
    return (
        pl.when(number)
        .then(pl.when(short == 1).then(pl.lit("digit")).otherwise(pl.lit("number")))
        .otherwise(pl.when(short == 3).then(pl.lit("short_name")).otherwise(pl.lit("name")))
    )


def _fit(
    part: pl.DataFrame,
    left: Indices,
    right: Indices,
    ratio: Floats,
    anchors: dict[str, Coded],
    answers: dict[str, Indices],
) -> Floats:
    """The evidence that the source of each `left` row and the target of its `right` row are a pair."""
    source = part["source_chars"].to_numpy()[left].astype(np.float64)
    target = part["target_chars"].to_numpy()[right] / ratio[left]
    variance = _SPREAD * np.maximum((source + target) / 2, 1)
    deviation = np.minimum((source - target) ** 2 / variance, _SURPRISE)
    fit = -np.where((source == 0) | (target == 0), _SURPRISE / 2, deviation) / 2
    for side, from_, to in (("source", left, right), ("target", right, left)):
        row, code, found, missing = anchors[side]
        partner = np.full(part.height, -1)
        partner[from_] = to
        asked = (partner[row] << 32) | code
        carried = answers["target" if side == "source" else "source"]
        at = np.minimum(np.searchsorted(carried, asked), max(len(carried) - 1, 0))
        met = carried[at] == asked if len(carried) else np.zeros(len(asked), bool)
        said = np.bincount(row, np.where(met, found, missing), part.height)[from_]
        fit += np.clip(said, -_MOST, _MOST)
    return fit


def _regions(gains: Floats, least: float) -> list[tuple[int, int]]:
    """The parts of a file, if any, in which some shift can gain so much."""
    wanted = np.zeros(gains.shape[1] + 1, bool)
    for gain in gains:
        total = np.cumsum(gain, dtype=np.float64)
        risen = total - np.minimum(np.minimum.accumulate(total), 0)
        edges = np.flatnonzero(np.diff(risen > 0, prepend=False, append=False))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if risen[start:stop].max() >= least:
                wanted[start:stop] = True
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _likeliest(gains: Floats, cost: float) -> npt.NDArray[np.int64]:
    """The likeliest shift of every row (-1: none) where each change of it costs so much (Viterbi's algorithm)."""
    states = len(gains) + 1
    score = [-cost] * states
    score[0] = 0.0
    came = np.zeros((gains.shape[1], states), np.int8)
    for row, gain in enumerate(gains.T.tolist()):
        best = max(range(states), key=score.__getitem__)
        entered = score[best] - cost
        arrivals = [0.0, *gain]
        for state in range(states):
            stays = row == 0 or score[state] >= entered
            came[row, state] = state if stays else best
            score[state] = (score[state] if stays else entered) + arrivals[state]
    final = [s if state == 0 else s - cost for state, s in enumerate(score)]
    path = np.zeros(gains.shape[1], np.int64)
    state = max(range(states), key=lambda s: (final[s], s))
    for row in range(gains.shape[1] - 1, -1, -1):
        path[row] = state
        state = int(came[row, state])
    return path - 1
