"""Backends: the Ganeti clusters we know, their credentials, capacity and reservations."""
