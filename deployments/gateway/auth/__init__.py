"""Who asks, and what they may do: keys, people, sessions, and the middleware before every route."""
