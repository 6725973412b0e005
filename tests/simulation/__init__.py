"""The controller under faults, by seed; see docs/simulation.md."""
