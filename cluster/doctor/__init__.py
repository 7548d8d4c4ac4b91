"""`heliostat doctor`: facts about this machine, and what follows from them."""
