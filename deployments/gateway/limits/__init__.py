"""What a principal may use, and who goes first: rate limits, and a fair queue in front of each model."""
