"""Ports: the NICs of servers."""
