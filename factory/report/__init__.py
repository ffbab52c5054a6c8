"""The report: one page that shows a version, with nothing to load: figures, examples and a browser of rows.

The model:
- `figures` counts what the page shows, from the manifest and the corpus's own files, within bounded memory.
- `passages` makes untrusted text safe to look at: direction, code, and characters that cannot be seen.
- `charts` draws, `page` fills the template; every text is escaped there, and no script runs but our own.
"""

from hala_factory.report.page import render

__all__ = ["render"]
