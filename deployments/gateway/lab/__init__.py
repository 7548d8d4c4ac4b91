"""The lab: experiments, their answers, scores, statistics and exports over HTTP, in the shapes of seed 003."""
