"""Pools of addresses, MAC prefixes and bridges."""
