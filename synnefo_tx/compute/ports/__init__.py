"""Ports: the NICs of servers, their MACs and addresses."""
