"""Flavors and volume types."""
