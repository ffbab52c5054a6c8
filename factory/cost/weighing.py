"""Weighing: the tokens of a request that was not answered yet, by the best that is known of its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hala_factory.catalog import Model
from hala_factory.cost.band import Band
from hala_factory.cost.habits import Habits
from hala_factory.cost.tokens import ARABIC_LENGTH, CHARS_PER_TOKEN, PER_MESSAGE, SPREAD, Counter
from hala_factory.generate.answers import Request
from hala_factory.quality.controls import PAIRS
from hala_factory.quality.scripts import SCRIPTS

HABIT_SPREAD = 0.15
"""How far other texts of a model may lie from its habit; an assumption, which a calibration takes the place of."""
PAIRS_SPREAD = 0.25
"""How far texts may lie from our pairs of sentences, in tokens written per token read; likewise an assumption."""
RETRIES = 0.15
"""Requests that may come on top because answers are asked for again; an assumption, and only in the upper bound: a
calibration measures it."""
VERDICT = Band(30, 8, 120)
"""Tokens of an answer that follows a JSON Schema: `{"verdict": "accept"}` has 8, five scores and a sentence 120."""
FREE = Band(300, 50, 1_000)
"""Tokens of a free answer; in open instruction sets answers have 50 to 1,000."""
LEAST_RATIO, RATIO, MOST_RATIO = 0.7, 1.5, 4.0
"""Tokens of a translation per token of its source where the scripts do not say more."""


@dataclass(frozen=True)
class Weight:
    """What one request will take."""

    prompt: Band
    output: Band
    how_prompt: str
    how_output: str


@dataclass(frozen=True)
class Weigher:
    """What is known of the model that a step asks."""

    model: Model
    counter: Callable[[], Counter]
    habits: Callable[[], Habits]
    spoken: tuple[str, str] | None = None
    """Languages that the step translates from and to, if it translates."""

    def weigh(self, request: Request) -> Weight:
        """The tokens of a request and of its answer."""
        if self.model.engine == "recorded":
            return Weight(Band.exact(0), Band.exact(0), "recorded answers", "recorded answers")
        chars = sum(len(content) for _, content in request.messages)
        habit = self.habits().of(request.messages, request.max_tokens, request.schema is not None)
        if habit is None:
            prompt, how = self._counted(request)
            output, why = self._answered(request)
        else:
            how = why = f"{habit.answers:,} stored answers of the model"
            prompt = Band.around(habit.prompt.at(chars), HABIT_SPREAD)
            output = Band.around(habit.output.at(chars), HABIT_SPREAD)
        most = float(request.max_tokens)
        output = Band(min(output.expected, most), min(output.low, most), min(output.high, most))
        again = 1 + RETRIES
        return Weight(
            Band(prompt.expected, prompt.low, prompt.high * again),
            Band(output.expected, output.low, output.high * again),
            how,
            why,
        )

    def _counted(self, request: Request) -> tuple[Band, str]:
        counter = self.counter()
        said = "\n".join(content for _, content in request.messages)
        around = PER_MESSAGE * len(request.messages)
        counted = Band.around(counter.count(said), counter.spread(said))
        # a template adds something between nothing and twice the usual
        return Band(counted.expected + around, counted.low, counted.high + 2 * around), counter.how

    def _answered(self, request: Request) -> tuple[Band, str]:
        if request.schema is not None:
            return VERDICT, "an assumption: a verdict in JSON has 8 to 120 tokens"
        if request.text is None or self.spoken is None:
            return FREE, "an assumption: a free answer has 50 to 1,000 tokens"
        counter = self.counter()
        read = Band.around(counter.count(request.text), counter.spread(request.text))
        if self.model.output_ratio is not None:
            ratio, how = Band.around(self.model.output_ratio, HABIT_SPREAD), "the catalog's output_ratio"
        else:
            ratio, how = _ratio(counter, *self.spoken)
        return read.times(ratio), how


@cache
def _ratio(counter: Counter, source: str, target: str) -> tuple[Band, str]:
    """Tokens of a translation per token of its source, and how that is known."""
    if counter.exact and {source, target} == {"en", "ar"}:
        english = sum(counter.count(pair[0]) for pair in PAIRS)
        arabic = sum(counter.count(pair[1]) for pair in PAIRS)
        of_pairs = arabic / english if target == "ar" else english / arabic
        told = f"the model's tokenizer on our pairs of sentences, {of_pairs:.1f} tokens per token"
        return Band.around(of_pairs, PAIRS_SPREAD), told
    scripts = [SCRIPTS.get(code, "other") for code in (source, target)]
    before, after = (script if script in CHARS_PER_TOKEN else "other" for script in scripts)
    if counter.exact or before == after:
        ratio = Band(RATIO, LEAST_RATIO, MOST_RATIO) if before != after else Band(1.2, LEAST_RATIO, 2.0)
    else:
        length = ARABIC_LENGTH if target == "ar" else 1 / ARABIC_LENGTH if source == "ar" else 1.0
        ratio = Band.around(length * CHARS_PER_TOKEN[before] / CHARS_PER_TOKEN[after], SPREAD[after])
    return (
        ratio,
        f"an assumption: {ratio.expected:.1f} tokens per token of the text ({ratio.low:.1f} to {ratio.high:.1f})",
    )
