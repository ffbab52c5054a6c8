"""Structure: what a translation must carry over unchanged, how to find it, and how to keep it out of harm's way.

The model:
- A *span* is a stretch of text that is not language: code, LaTeX, URLs, placeholders, tags, … (`spans`).
- The *contract* is that source and target hold the same multiset of spans and the same Markdown skeleton, and that
  what can be told apart stands in the same part of it (`difference` is empty).
- A text is sent in *segments*: prose goes to the translator, whole code blocks and display formulas never do;
  what stands inside prose is *masked*.
- What comes back in another spelling is *repaired* where only one thing can be meant, and counted; all else fails.

Everything here is linear in the length of the text, whatever stands in it.
"""

from hala_factory.structure.contract import difference, prose, spans
from hala_factory.structure.masks import mask, unmask
from hala_factory.structure.repair import repair
from hala_factory.structure.segment import Cut, Segment, segments
from hala_factory.structure.span import KINDS, Kind, Span

__all__ = [
    "KINDS",
    "Cut",
    "Kind",
    "Segment",
    "Span",
    "difference",
    "mask",
    "prose",
    "repair",
    "segments",
    "spans",
    "unmask",
]
