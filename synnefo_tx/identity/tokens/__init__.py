"""API tokens: what they are, who holds them, how they are given out."""
