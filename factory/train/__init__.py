"""Training: the programs that hold the heavy libraries, each a page, each run in a process of its own.

The model: a step of a model recipe (`hala_factory.models`) writes an order, a JSON file, and runs one of these
programs over it; the program imports nothing of ours that is not in this folder, writes what it makes where the order
says, adds lines to `said.txt` beside the order to tell how far it is, and ends with `made.json`.
"""
