"""Servers, flavors, images, networks, volumes."""
