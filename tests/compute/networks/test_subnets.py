"""Subnets: what range a network may have."""

from synnefo_tx.caller import OPERATOR
from synnefo_tx.faults import RequestEntityTooLarge
from tests.support.cloud import CloudTestCase


class LargestTests(CloudTestCase):
    """A range that no cluster takes is refused when it is given, not when a server is built."""

    public_cidr = "10.8.0.0/16"

    async def test_no_larger_than_clusters_take(self):
        """An operator may give a /16, on which servers are built, and no /15."""
        networks = self.app.compute.networks
        made = await networks.create_public(OPERATOR, "Large", "CUSTOM", None)
        with self.assertRaises(RequestEntityTooLarge):
            await networks.add_subnet(OPERATOR, made.id, "198.18.0.0/15")
        await self.built()
