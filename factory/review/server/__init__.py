"""The review server: the programs that run inside the tool environment of Argilla, where nothing else of ours is.

The model: `serve.py` is run by path with an order on its standard input; it makes this folder known as the package
that it is a part of, starts the real argilla-server over a folder of data, and answers one line when it is ready.
Argilla wants a search engine and a queue beside its database. Here both are in its own process: `engine.py` answers
every search from Argilla's database, so there is no second copy that could go stale, and the queue is a stand-in for
Redis in memory. That does for reviews, which have some thousand records; it is no search engine for millions.
"""
