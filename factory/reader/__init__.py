"""Reads sources: finds their files, reads every form of them, and maps their columns to rows.

The model:
- `locate` says which files a source has, in which order and with which digests; nothing is read yet.
- A *form* (`lines`, `documents`, `parquet`) gives raw records in chunks, and never loses one silently.
- `columns` says what a row needs, `records` takes it from them, `mapping` makes rows of it, `batches` cuts them to
  size.
- `corpora` does all of that for corpora of the store, whose records are rows already.
- A record that cannot become a row is a failed row; a file that cannot be read is an error that names it.
"""

from hala_factory.reader.batches import Batch, columns_of, read
from hala_factory.reader.corpora import locate as locate_corpus
from hala_factory.reader.files import Corpus, File, Located, locate

REVISION = 2
"""Raised when a reader answers differently for the same file; rows of older readers are read again."""

__all__ = ["REVISION", "Batch", "Corpus", "File", "Located", "columns_of", "locate", "locate_corpus", "read"]
