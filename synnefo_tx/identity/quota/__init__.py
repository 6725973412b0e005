"""Resources, limits, usage: what is charged to whom."""
