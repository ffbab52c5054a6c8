"""Steps that ask a model or a person, one file each."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parent)]  # a new file here is importable without a reinstall
