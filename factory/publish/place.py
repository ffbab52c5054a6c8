"""Where an edition is going to stand: its address, how it is loaded from there, and how its files are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Place:
    """A repository of the Hub at a revision, or a folder of a file system."""

    kind: Literal["hub", "folder"]
    url: str
    """The page of the repository, or the address of the folder."""
    repo: str = ""
    revision: str = ""
    """The tag, or the branch, under which the version will be found; of a repository only."""

    def load(self, config: str = "data") -> str:
        """One line of Python that reads the rows of a configuration."""
        if self.kind == "hub":
            name = "" if config == "data" else f', "{config}"'
            return f'datasets.load_dataset("{self.repo}"{name}, revision="{self.revision}", split="train")'
        return f'datasets.load_dataset("parquet", data_files="{self.url}/{config}/*.parquet", split="train")'

    def load_model(self) -> str:
        """One line of Python that reads a checkpoint."""
        if self.kind == "hub":
            return f'transformers.AutoModelForCausalLM.from_pretrained("{self.repo}", revision="{self.revision}")'
        return f'transformers.AutoModelForCausalLM.from_pretrained("{self.url}")'

    def file(self, path: str) -> str:
        """How `croissant.json` names a file: by its address on the Hub, else relative to where it stands itself."""
        return f"{self.url}/resolve/{self.revision}/{path}" if self.kind == "hub" else path
