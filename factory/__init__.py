"""hala-factory: a declarative, data-centric dataset factory."""

from importlib.metadata import version

__version__ = version("hala-factory")
