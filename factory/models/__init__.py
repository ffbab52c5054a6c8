"""Models as artifacts: a recipe of `kind: model` is a chain of steps from a base model to an immutable version.

The model:
- A *making* step (`quantise`) turns the checkpoint before it into another; a *judging* step (`accept`) measures it.
- Every step runs once per content: its outputs stand in `STORE/stages/<step>-<fp12>`, and the version that comes out
  of the chain stands in `STORE/models/<name>/<version>`, its manifest written last.
- What a judging step measured is stored; its gates are asked over that at every build and are in no fingerprint.
"""
