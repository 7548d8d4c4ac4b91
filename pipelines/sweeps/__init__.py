"""Plan (pure), run, score and store parameter sweeps."""
