"""Engines whose models run elsewhere: they translate, bound what comes back, and hold no weights."""
