"""The HTTP seam: endpoint records, bodies, policy, site."""
