"""Runs a plan: stage by stage over shards, every row accounted for, nothing half-written taken for whole."""

from hala_factory.run.building import Watcher, build

__all__ = ["Watcher", "build"]
