"""Ganeti clusters: RAPI client, in-memory cluster, jobs, polling."""
