"""Our own Ray cluster: start, join, deploy, wait, connect, stop. `lifecycle` is the way in."""
