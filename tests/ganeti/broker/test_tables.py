"""Field tables and properties on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.broker.tables import (
    BadTable,
    decode_properties,
    decode_table,
    encode_properties,
    encode_table,
)

names = st.text(max_size=60)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.integers(0, 2**32).map(lambda n: datetime.fromtimestamp(n, UTC)),
)
values = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=8
)


class TableTests(SynchronousTestCase):
    """What headers may hold."""

    @given(st.dictionaries(names, values))
    def test_there_and_back(self, table):
        """Every table comes back as it was, whatever letters its texts have."""
        self.assertEqual(decode_table(encode_table(table)), table)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data):
        """Whatever a peer sends is a table or refused."""
        try:
            decode_table(data)
        except BadTable:
            return

    def test_deep(self):
        """A table that is nested too deep is refused."""
        table: dict[str, object] = {}
        for _ in range(20):
            table = {"x": table}
        self.assertRaises(BadTable, decode_table, encode_table(table))

    def test_rabbitmq_numbers(self):
        """Numbers of every width that RabbitMQ writes are read."""
        data = b"\x01bb\xff\x01BB\xff\x01ss\xff\xff\x01uu\xff\xff\x01II\xff\xff\xff\xff\x01ii"
        read = decode_table(data + b"\xff\xff\xff\xff")
        self.assertEqual(read, {"b": -1, "B": 255, "s": -1, "u": 65535, "I": -1, "i": 4294967295})

    def test_no_such_type(self):
        """What AMQP cannot say is an error of the caller."""
        self.assertRaises(TypeError, encode_table, {"x": object()})


class PropertyTests(SynchronousTestCase):
    """Properties of messages."""

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "content_type": names,
                "headers": st.dictionaries(names, values),
                "delivery_mode": st.integers(0, 255),
                "message_id": names,
                "timestamp": st.integers(0, 2**64 - 1),
                "cluster_id": names,
            },
        )
    )
    def test_there_and_back(self, properties):
        """Properties come back as they were."""
        self.assertEqual(decode_properties(encode_properties(properties)), properties)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data):
        """Whatever a peer sends are properties or refused."""
        try:
            decode_properties(data)
        except BadTable:
            return

    def test_unknown(self):
        """A property that AMQP does not have is an error of the caller."""
        self.assertRaises(KeyError, encode_properties, {"colour": "red"})
