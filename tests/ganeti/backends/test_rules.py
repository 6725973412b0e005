"""What is read of a cluster's documents: pure."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.backends.model import NodeFigures
from synnefo_tx.ganeti.backends.rules import disk_templates, node_addresses, sum_nodes


def node(**changes):
    plain = {
        "name": "n", "pip": "192.0.2.1", "vm_capable": True, "drained": False, "offline": False,
        "cnodes": 1, "mfree": 10, "mtotal": 20, "dfree": 30, "dtotal": 40, "ctotal": 4,
        "pinst_cnt": 2,
    }  # fmt: skip
    return plain | changes


class NodeTests(SynchronousTestCase):
    def test_sums(self) -> None:
        """Figures of nodes that take instances are summed; unknown ones count as zero."""
        nodes = [
            node(),
            node(mfree=None),
            node(vm_capable=False),
            node(drained=True),
            node(offline=True),
            node(cnodes=None),
        ]
        self.assertEqual(sum_nodes(nodes), NodeFigures(10, 40, 60, 80, 8, 4))
        self.assertEqual(sum_nodes([]), NodeFigures(0, 0, 0, 0, 0, 0))

    def test_addresses(self) -> None:
        """Every node's primary address is kept, by its name."""
        nodes = [node(), node(name="m", pip="192.0.2.2"), node(name="x", pip=None)]
        self.assertEqual(node_addresses(nodes), {"n": "192.0.2.1", "m": "192.0.2.2"})


class TemplateTests(SynchronousTestCase):
    def test_both(self) -> None:
        """A template must be enabled and allowed; without the first list the second decides."""
        policy = {"disk-templates": ["plain", "file", "drbd"]}
        info = {"enabled_disk_templates": ["file", "ext", "plain"], "ipolicy": policy}
        self.assertEqual(disk_templates(info), ["file", "plain"])
        self.assertEqual(disk_templates({"ipolicy": policy}), ["drbd", "file", "plain"])
        self.assertEqual(disk_templates({}), [])
