"""Conversations that the server remembers, and the stream sessions that answer in them."""
