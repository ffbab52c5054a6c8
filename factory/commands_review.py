"""`review`: people look at a sample of a corpus."""

from __future__ import annotations

import click

from hala_factory.options import Commands


@click.group(cls=Commands)
def review() -> None:
    """People judge a sample of a corpus, and what they find decides whether it is published."""
