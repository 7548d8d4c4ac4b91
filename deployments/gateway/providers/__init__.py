"""Providers whose models may be asked for by name, and the one that answers where a request names none."""
