"""The message broker: client, publisher, topology, and a broker in memory (AMQP 0-9-1)."""
