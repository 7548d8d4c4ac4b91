"""The router: deadlines, breakers, fallbacks, and the events that explain its decisions."""
