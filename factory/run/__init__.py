"""Runs a plan: stage by stage over shards, every row accounted for, nothing half-written taken for whole."""
