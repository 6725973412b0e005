"""A Ganeti cluster in memory that speaks RAPI."""
