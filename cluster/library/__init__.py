"""Models on disk: what a name means, where its files come from, and which of them are here, whole.

Neither Ray nor FastAPI: the command line, the engines and the gateway use it alike.
"""
