"""Models that are loaded when they are asked for: the gateway's side of the fleet."""
