"""Bodies of RAPI requests."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec, NicSpec


def spec(**changes):
    values: dict[str, Any] = {
        "name": "snf-42",
        "os": "snf-image+default",
        "disk_template": "ext",
        "hypervisor": "kvm",
        "disks": [
            DiskSpec("snf-vol-7", 2048, "vlmc", {"origin": "img"}),
            DiskSpec("snf-vol-3", 64),
        ],
        "nics": [NicSpec("snf-nic-9", "snf-net-1", "10.0.0.5"), NicSpec("snf-nic-2", "snf-net-4")],
        "vcpus": 2,
        "memory_mib": 1024,
        "tags": ["cyclades:system:intent:abc"],
    }
    return InstanceSpec(**(values | changes))


class CreateBodyTests(SynchronousTestCase):
    """The body of a creation."""

    def test_order_is_kept(self):
        """Disks and NICs are sent in the order given, the root disk first."""
        body = requests.create_body(spec())
        self.assertEqual([disk["name"] for disk in body["disks"]], ["snf-vol-7", "snf-vol-3"])
        self.assertEqual([nic["name"] for nic in body["nics"]], ["snf-nic-9", "snf-nic-2"])

    def test_external_storage(self):
        """Provider and its parameters go with the disk; size and name cannot be overridden."""
        body = requests.create_body(
            spec(disks=[DiskSpec("snf-vol-1", 10, "p", {"origin": "x", "size": 1, "name": "y"})])
        )
        self.assertEqual(
            body["disks"], [{"origin": "x", "provider": "p", "name": "snf-vol-1", "size": 10}]
        )

    def test_memory_is_fixed(self):
        """Least and most memory are the same, so that the guest keeps what was paid for."""
        beparams = requests.create_body(spec())["beparams"]
        self.assertEqual(
            (beparams["minmem"], beparams["maxmem"], beparams["vcpus"]), (1024, 1024, 2)
        )

    def test_depends(self):
        """Jobs to wait for may end in any way; without any the key is absent."""
        self.assertNotIn("depends", requests.create_body(spec()))
        self.assertEqual(
            requests.create_body(spec(depends=[7]))["depends"],
            [[7, ["canceled", "error", "success"]]],
        )

    def test_resize(self):
        """Another size is asked for with the same parameters."""
        self.assertEqual(
            requests.resize_body(4, 512), {"beparams": {"vcpus": 4, "minmem": 512, "maxmem": 512}}
        )


class NetworkBodyTests(SynchronousTestCase):
    """The body of a network's creation."""

    def test_ipv6_only(self):
        """A network without IPv4 gets Ganeti's dummy, and no gateway in it."""
        body = requests.network_body("n", cidr=None, gateway="1.2.3.4", cidr6="2001:db8::/64")
        self.assertEqual(body["network"], "10.0.0.0/29")
        self.assertNotIn("gateway", body)
        self.assertEqual(body["network6"], "2001:db8::/64")


class NameTests(SynchronousTestCase):
    """Names on the Ganeti side."""

    @given(st.integers(0, 2**62))
    def test_round_trip(self, number):
        """A server is found again by its instance's name."""
        self.assertEqual(requests.server_id(requests.instance_name(number)), number)

    def test_foreign_names(self):
        """Instances of others are not taken for ours."""
        for name in ("snf-", "snf-1a", "snf-net-1", "web1", "1", "snf-١", "xsnf-1", "snf--1"):
            self.assertIsNone(requests.server_id(name))
