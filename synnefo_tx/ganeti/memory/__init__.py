"""A Ganeti cluster in memory that speaks RAPI."""

from synnefo_tx.ganeti.memory.config import ClusterConfig, NodeConfig
from synnefo_tx.ganeti.memory.faults import CallFault, Fault, JobFault
from synnefo_tx.ganeti.memory.server import MemoryGaneti

__all__ = ["CallFault", "ClusterConfig", "Fault", "JobFault", "MemoryGaneti", "NodeConfig"]
