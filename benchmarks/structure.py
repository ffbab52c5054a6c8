"""Whether a broken structure is caught, and an unbroken one left alone: an adversary at work on real texts.

    python benchmarks/structure.py [--data DIR] [--every N] [--read N] [--json] [--model NAME --url URL]

Real texts (pages in Markdown, strings with placeholders, answers with programs) are translated by a scripted model
that makes every word an Arabic one and keeps all else. Then an adversary breaks each translation once in each of its
ways, by patterns of its own: it knows nothing of how the factory finds what must survive. A broken one is *caught* by
the judge of `translate`, else by the filter `numbers`, else missed; an unbroken one that either finds fault with is a
false alarm. The filter `structure` and the judge hold a translation against the same contract.

In a second round the model itself misbehaves, in every answer or in every second one, and the whole ladder is at
work; the words of a text that are no Arabic must come out of it in their lines, or the text must fail. Last, with
`--model`, a real model behind an OpenAI-compatible server is asked, to tell how many texts survive it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from adversary import MISBEHAVIOURS, WAYS, arabic
from finding import SIDES, falls, frame
from real import DATA, instructions, mozilla, scratch

from hala_factory.filters.numbers import Numbers
from hala_factory.generate.answers import Answer
from hala_factory.generate.asking import Answerer
from hala_factory.quality.failures import breaking
from hala_factory.quality.ladder import Translation
from hala_factory.quality.translate import Translate

LONGEST_SECTION = 3000
"""Characters of a text for the second round, in which each is translated 32 times."""

# The data


def pages(data: Path) -> Iterator[str]:
    """Pages of React's documentation, in Markdown."""
    for path in sorted((data / "react-docs-en").rglob("*.md")):
        yield path.read_text(encoding="utf-8")


def programs(data: Path) -> list[tuple[str, str]]:
    """Tasks for programs and their answers."""
    return instructions(data / "gpteacher/files/Codegen/codegen-instruct.json.gz")


DATASETS: dict[str, Callable[[Path], Iterator[str]]] = {
    "react": pages,
    "mozilla": lambda data: (english for english, _ in mozilla(data)),
    "scratch": lambda data: (english for english, _ in scratch(data)),
    "gpteacher": lambda data: (text for pair in programs(data) for text in pair),
}


def sections(texts: Sequence[str], most: int) -> list[str]:
    """So many texts, spread evenly; of pages, what stands under their headings."""
    parts = [part for text in texts for part in re.split(r"(?m)^(?=## )", text) if 0 < len(part) < LONGEST_SECTION]
    return parts[:: max(1, len(parts) // most)][:most] if most else []


class Tally(NamedTuple):
    """What came of one way of breaking the texts of a data set."""

    kind: str
    data: str
    made: int
    by_translate: int
    by_numbers: int
    missed: tuple[str, ...]

    @property
    def caught(self) -> int:
        """How many broken texts were found."""
        return self.by_translate + self.by_numbers


def wrong_numbers(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether the filter `numbers` drops each pair."""
    return falls(Numbers(**SIDES), frame(pairs)) if pairs else []


def broken(name: str, texts: Sequence[str], done: Sequence[str], *, seed: int = 0) -> list[Tally]:
    """Every way tried on the translations `done` of `texts`."""
    tallies = []
    for kind, way in WAYS.items():
        made: list[tuple[str, str]] = []
        whole: dict[str, str] = {}
        for n, (source, target) in enumerate(zip(texts, done, strict=True)):
            other = way(target, random.Random(f"{seed} {kind} {n}"))
            if other is not None and other != target:
                made.append((source, other))
                whole[other] = target
        judged = [breaking(*pair) is not None for pair in made]
        left = [pair for pair, found in zip(made, judged, strict=True) if not found]
        numbers = wrong_numbers(left)
        missed = [where(whole[t], t) for (_, t), found in zip(left, numbers, strict=True) if not found]
        tallies.append(Tally(kind, name, len(made), sum(judged), sum(numbers), tuple(missed)))
    return tallies


def where(source: str, target: str) -> str:
    """The first line in which a translation lacks something of its source, or of an honest translation."""
    lines = zip(source.split("\n"), target.split("\n"), strict=False)
    apart = next(((a, b) for a, b in lines if shape(a) != shape(b)), (source, target))
    return " → ".join(line[:150] for line in apart)


def shape(line: str) -> list[str]:
    """What of a line is in no language, in any order."""
    return sorted(re.findall(r"[A-Za-z0-9]+|[`{}<>|#]", line))


def alike(text: str, honest: str, source: str) -> bool:
    """Whether every line has what an honest translation has in it, or, being code to one of the two, its source."""
    said, wanted, origin = (t.split("\n") for t in (text, honest, source))
    return len(said) == len(wanted) == len(origin) and all(
        shape(a) in (shape(b), shape(c)) for a, b, c in zip(said, wanted, origin, strict=True)
    )


# The ladder at work


class Model:
    """The model of words, misbehaving in a share of its answers; the same question has the same answer."""

    unit = "segment"

    def __init__(self, misbehaviour: str = "none", share: float = 1.0) -> None:
        self.way, self.name, self.share = MISBEHAVIOURS[misbehaviour], misbehaviour, share

    async def __call__(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        text: str | None = None,
    ) -> Answer:
        """An answer in Arabic words, misbehaving or not."""
        assert text is not None
        honest, chance = arabic(text), random.Random(f"{self.name} {seed} {text}")
        other = self.way(honest, chance) if chance.random() < self.share else None
        return Answer(honest if other is None else other, "stop", len(text), len(honest))


def translated(texts: Iterable[str], model: Answerer, **fields: Any) -> list[Translation]:
    """What `translate` makes of texts, with the longest segment that it has by default."""
    step = Translate.model_validate({"to": "ar", "model": "scripted", **fields})

    async def all_of_them() -> list[Translation]:
        gate = asyncio.Semaphore(64)

        async def one(text: str) -> Translation:
            async with gate:
                return await step.reply(text, {"model": model})

        return await asyncio.gather(*(one(text) for text in texts))

    return asyncio.run(all_of_them())


class Survival(NamedTuple):
    """What came of the texts of a data set under one misbehaviour."""

    misbehaviour: str
    share: float
    data: str
    texts: int
    whole: int
    """Came out with what they had, in its lines."""
    repaired: int
    """Of these, with repairs."""
    again: int
    """Of these, asked for again."""
    failed: int
    """Failed, and say so."""
    by_numbers: int
    """Came out broken; the filter `numbers` drops them."""
    escaped: tuple[str, ...]
    """Came out broken, and nobody noticed."""


def survival(
    name: str, texts: Sequence[str], honest: Sequence[Translation], misbehaviour: str, share: float
) -> Survival:
    """The texts translated by a model that misbehaves, beside what an honest one made of them."""
    done = translated(texts, Model(misbehaviour, share))
    fine = [d.failure is None for d in done]
    same = [ok and alike(d.text, h.text, t) for t, d, h, ok in zip(texts, done, honest, fine, strict=True)]
    rows = zip(texts, done, honest, fine, same, strict=True)
    astray = [(t, d.text, h.text) for t, d, h, ok, whole in rows if ok and not whole]
    wrong = [(t, said) for t, said, _ in astray]
    dropped = wrong_numbers(wrong)
    return Survival(
        misbehaviour,
        share,
        name,
        len(texts),
        sum(same),
        sum(w and d.repairs > 0 for w, d in zip(same, done, strict=True)),
        sum(w and d.requests > h.requests for w, d, h in zip(same, done, honest, strict=True)),
        len(fine) - sum(fine),
        sum(dropped),
        tuple(where(h, said) for (_, said, h), found in zip(astray, dropped, strict=True) if not found),
    )


# A real model


class Server:
    """A model behind an OpenAI-compatible server."""

    unit = "segment"

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url.rstrip("/"), name

    async def __call__(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
        text: str | None = None,
    ) -> Answer:
        """Its answer. Raises httpx.HTTPError where it gives none."""
        asked = {"model": self.name, "messages": list(messages), "temperature": temperature, "max_tokens": max_tokens}
        async with httpx.AsyncClient(timeout=600) as client:
            reply = await client.post(
                f"{self.url}/chat/completions", json=asked | ({} if seed is None else {"seed": seed})
            )
        reply.raise_for_status()
        said, used = reply.json()["choices"][0], reply.json()["usage"]
        reason = "length" if said["finish_reason"] == "length" else "stop"
        return Answer(said["message"]["content"], reason, used["prompt_tokens"], used["completion_tokens"])  # type: ignore[arg-type]


# The command


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and answer the exit status: 1 where something broken was missed or something whole was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th text only")
    parser.add_argument("--ladder", type=int, default=200, metavar="N", help="texts of each for the second round")
    parser.add_argument("--read", type=int, default=0, metavar="N", help="print up to N of each kind that was missed")
    parser.add_argument("--json", action="store_true", help="one figure a line")
    parser.add_argument("--only", choices=DATASETS, action="append", help="a data set; may be given again")
    parser.add_argument("--model", help="ask this model, too …")
    parser.add_argument("--fields", default="{}", help="… with these fields of the step translate, as JSON")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="… of an OpenAI-compatible server")
    asked = parser.parse_args(argv)
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    tallies: list[Tally] = []
    survivals: list[Survival] = []
    alarms: dict[str, tuple[int, list[str]]] = {}
    for name in asked.only or DATASETS:
        print(f"{name} …", file=sys.stderr)
        texts = list(dict.fromkeys(DATASETS[name](asked.data)))[:: asked.every]
        honest = translated(texts, Model())
        pairs = [(t, d.text) for t, d in zip(texts, honest, strict=True)]
        false = [d.detail for d in honest if d.failure]
        false += [where(*pair) for pair, fell in zip(pairs, wrong_numbers(pairs), strict=True) if fell]
        alarms[name] = len(texts), false
        tallies += broken(name, texts, [d.text for d in honest])
        some = sections(texts, asked.ladder)
        first = translated(some, Model())
        rounds = [(kind, share) for kind in MISBEHAVIOURS for share in (0.5, 1.0)] if some else []
        survivals += [survival(name, some, first, *how) for how in rounds]
        if asked.model:
            told = translated(texts, Server(asked.url, asked.model), **json.loads(asked.fields))
            whole = sum(d.failure is None for d in told)
            repairs = sum(d.repairs > 0 for d in told)
            why = Counter(str(d.failure) for d in told if d.failure).most_common()
            print(f"{asked.model}: of {len(told)} texts of {name} {whole} survive, {repairs} of them repaired; {why}")
    print_all(tallies, survivals, alarms, asked.read, asked.json)
    missed = sum(len(t.missed) for t in tallies) + sum(len(s.escaped) for s in survivals)
    return 1 if missed or any(false for _, false in alarms.values()) else 0


def print_all(
    tallies: Sequence[Tally],
    survivals: Sequence[Survival],
    alarms: Mapping[str, tuple[int, list[str]]],
    read: int,
    as_json: bool,
) -> None:
    """The tables, in Markdown or as JSON."""
    if as_json:
        for row in (*tallies, *survivals):
            print(json.dumps(row._asdict(), ensure_ascii=False))
        return
    print("| broken | data | made | caught by translate | by numbers | missed |\n|---|---|---:|---:|---:|---:|")
    for t in tallies:
        if t.made:
            print(f"| {t.kind} | {t.data} | {t.made} | {t.by_translate} | {t.by_numbers} | {len(t.missed)} |")
    print("\n| data | whole | false alarms |\n|---|---:|---:|")
    for name, (texts, false) in alarms.items():
        print(f"| {name} | {texts} | {len(false)} |")
    columns = "| model | answers | data | texts | whole | repaired | asked again | failed | numbers | escaped |"
    print(f"\n{columns}\n|---|---:|---|{'---:|' * 7}")
    for s in survivals:
        figures = (s.texts, s.whole, s.repaired, s.again, s.failed, s.by_numbers, len(s.escaped))
        print(f"| {s.misbehaviour} | {s.share:.0%} | {s.data} | {' | '.join(map(str, figures))} |")
    wrong = [(f"{t.data}, {t.kind}", t.missed) for t in tallies]
    wrong += [(f"{s.data}, a model that {s.misbehaviour}", s.escaped) for s in survivals]
    wrong += [(f"{name}, whole", tuple(false)) for name, (_, false) in alarms.items()]
    for title, rows in wrong:
        for row in rows[:read]:
            print(f"{title}: {row}")


if __name__ == "__main__":
    sys.exit(main())
