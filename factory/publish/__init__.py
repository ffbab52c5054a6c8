"""Publish: a version goes to the Hub, to a folder or to an object store, and comes back as it was.

The model:
- A version never changes. What is published is an *edition* of it: its own files byte for byte, and around them what
  can only be known now: where it stands, how to load it, how its review ended, pictures, `croissant.json`.
- Gates are asked before anything is sent, all of them, and every reason is told at once.
- Nothing half-sent looks whole: on the Hub all files appear in one commit, elsewhere `manifest.json` is written last.
- What is there already is not sent again, whatever broke the last attempt off: files are known by their digests.
- What was sent is read back: a publish that says "done" has compared every digest with what stands over there.
"""
