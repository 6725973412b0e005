"""What a Ganeti cluster does, as far as this project relies on it: one suite for every cluster.

``ClusterCases`` is run against the cluster in memory and against real ones; a case that both pass
is the only warrant that the one in memory may stand for the others. Import this module, not its
classes: trial would run them where they are imported.
"""

from tests.ganeti.device_cases import DeviceCases, FakeHypervisorCases, KvmCases
from tests.ganeti.instance_cases import InstanceCases
from tests.ganeti.job_cases import JobCases
from tests.ganeti.network_cases import NetworkCases
from tests.ganeti.transport_cases import TransportCases


class ClusterCases(TransportCases, JobCases, NetworkCases, InstanceCases, DeviceCases):
    """All cases that hold for every cluster and hypervisor."""


class FakeClusterCases(FakeHypervisorCases, ClusterCases):
    """All cases for the hypervisor "fake"."""


class KvmClusterCases(KvmCases, ClusterCases):
    """All cases for the hypervisor "kvm"."""
