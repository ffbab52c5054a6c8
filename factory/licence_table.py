"""The table of licences: what each asks of a corpus that is made of rows under it, and where to read that.

The model: the order is the algebra. Licences that a corpus can be put under stand from the freest to the strictest,
and a corpus of several takes the freest that none of them forbids (see `licences`). That a stricter licence may carry
rows of a freer one, whose notices then travel in ATTRIBUTION.md, is our choice; what each licence asks is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

REVISION = 1
"""Raised when the table or the algebra over it gives another answer."""
UNKNOWN, CONFLICT = "unknown", "conflict"
"""What the catalog says where no licence was found, and where a source's own pages disagree."""


@dataclass(frozen=True)
class Licence:
    """What one licence, or one provider's terms, asks."""

    page: str
    """Its own page. Of the standard licences general knowledge stands here, of the terms of models and providers what
    others quote of them: whoever relies on it reads the page."""
    attribution: bool = False
    """Whoever passes it on names its authors and keeps their notices."""
    non_commercial: bool = False
    """It may not be used for commercial advantage."""
    becomes: tuple[str, ...] = ()
    """Share-alike: what is made of it must be under one of these; none where it asks for nothing of the kind."""
    no_derivatives: bool = False
    """What was made of it may not be passed on, and a corpus is made of it: rows are cleaned and translated."""
    of_rows: bool = True
    """Whether a corpus can be put under it; the terms of models and providers are not made for that."""
    outputs: Literal["as the licence", "free", "unknown"] = "as the licence"
    """What a model under it wrote counts as: under the same licence (we take no less), bound by no licence, or
    `unknown` where nothing was read about outputs."""
    condition: str = ""
    """What else goes along with it, in a sentence."""
    hub: str = ""
    """The word for it in a card on the Hub, https://huggingface.co/docs/hub/repositories-licenses; '': it has none."""

    @property
    def share_alike(self) -> bool:
        """Whether what is made of it must stay under it, or one like it."""
        return bool(self.becomes)


_CC = "https://creativecommons.org/licenses"

TABLE: dict[str, Licence] = {
    # ---- What a corpus can be put under, from the freest to the strictest ----
    "CC0-1.0": Licence("https://creativecommons.org/publicdomain/zero/1.0/", hub="cc0-1.0"),
    "PDDL-1.0": Licence("https://opendatacommons.org/licenses/pddl/1-0/", hub="pddl"),
    "MIT": Licence("https://spdx.org/licenses/MIT.html", attribution=True, hub="mit"),
    "BSD-3-Clause": Licence("https://spdx.org/licenses/BSD-3-Clause.html", attribution=True, hub="bsd-3-clause"),
    "Apache-2.0": Licence("https://www.apache.org/licenses/LICENSE-2.0", attribution=True, hub="apache-2.0"),
    "ODC-By-1.0": Licence("https://opendatacommons.org/licenses/by/1-0/", attribution=True, hub="odc-by"),
    "CC-BY-3.0": Licence(f"{_CC}/by/3.0/", attribution=True, hub="cc-by-3.0"),
    "CC-BY-4.0": Licence(f"{_CC}/by/4.0/", attribution=True, hub="cc-by-4.0"),
    "CC-BY-SA-3.0": Licence(
        f"{_CC}/by-sa/3.0/", attribution=True, becomes=("CC-BY-SA-3.0", "CC-BY-SA-4.0"), hub="cc-by-sa-3.0"
    ),
    "CC-BY-SA-4.0": Licence(f"{_CC}/by-sa/4.0/", attribution=True, becomes=("CC-BY-SA-4.0",), hub="cc-by-sa-4.0"),
    "CC-BY-NC-3.0": Licence(f"{_CC}/by-nc/3.0/", attribution=True, non_commercial=True, hub="cc-by-nc-3.0"),
    "CC-BY-NC-4.0": Licence(f"{_CC}/by-nc/4.0/", attribution=True, non_commercial=True, hub="cc-by-nc-4.0"),
    "CC-BY-NC-SA-3.0": Licence(
        f"{_CC}/by-nc-sa/3.0/",
        attribution=True,
        non_commercial=True,
        becomes=("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"),
        hub="cc-by-nc-sa-3.0",
    ),
    "CC-BY-NC-SA-4.0": Licence(
        f"{_CC}/by-nc-sa/4.0/",
        attribution=True,
        non_commercial=True,
        becomes=("CC-BY-NC-SA-4.0",),
        hub="cc-by-nc-sa-4.0",
    ),
    # ---- What allows no corpus to be made of it ----
    "CC-BY-ND-4.0": Licence(f"{_CC}/by-nd/4.0/", attribution=True, no_derivatives=True, hub="cc-by-nd-4.0"),
    "CC-BY-NC-ND-4.0": Licence(
        f"{_CC}/by-nc-nd/4.0/", attribution=True, non_commercial=True, no_derivatives=True, hub="cc-by-nc-nd-4.0"
    ),
    # ---- The terms of models and of providers: what goes along with what a model wrote ----
    "lfm1.0": Licence(
        "https://docs.liquid.ai/lfm/help/model-license",
        of_rows=False,
        outputs="unknown",
        condition="commercial use of the model is free only below USD 10M of annual revenue, and models derived from "
        "it stay under its licence",
        hub="lfm1.0",
    ),
    "Cohere-acceptable-use": Licence(
        "https://docs.cohere.com/docs/cohere-labs-acceptable-use-policy",
        of_rows=False,
        outputs="free",
        condition="besides CC-BY-NC, whoever uses the model adheres to the acceptable use policy of Cohere Labs",
    ),
    "gemma": Licence(
        "https://ai.google.dev/gemma/terms",
        of_rows=False,
        outputs="free",
        condition="Google claims no rights in what Gemma writes, but a model that is trained on it to perform like "
        "Gemma is bound by the Gemma terms",
        hub="gemma",
    ),
    "llama3.1": Licence(
        "https://www.llama.com/llama3_1/license/",
        of_rows=False,
        outputs="free",
        condition="a model that is trained on what Llama wrote, and passed on, has 'Llama' at the beginning of its "
        "name",
        hub="llama3.1",
    ),
    "OpenAI-terms": Licence(
        "https://openai.com/policies/terms-of-use/",
        of_rows=False,
        outputs="free",
        condition="what OpenAI's models wrote may not be used to develop models that compete with OpenAI",
    ),
}

_SPELT = {spelt.casefold(): name for name, each in TABLE.items() for spelt in (name, each.hub) if spelt}


def known(licence: str) -> str | None:
    """The table's name of a licence, also by the Hub's word and in any case of letters; None: not in the table."""
    return _SPELT.get(licence.strip().casefold())
