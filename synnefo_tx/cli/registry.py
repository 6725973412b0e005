"""All commands of ``snf-manage``; the only list of them."""

from __future__ import annotations

from synnefo_tx.changes.commands import StreamReset
from synnefo_tx.cli.command import Command
from synnefo_tx.cli.completion import Completion
from synnefo_tx.cli.schema import DbMigrate
from synnefo_tx.compute.backends.commands import BackendAdd, BackendList, BackendRemove
from synnefo_tx.compute.flavors.commands import (
    FlavorCreate,
    FlavorList,
    VolumeTypeCreate,
    VolumeTypeList,
)
from synnefo_tx.compute.images.commands import ImageList, ImageRegister
from synnefo_tx.compute.networks.commands import NetworkCreate, NetworkList, NetworkRemove
from synnefo_tx.compute.networks.subnet_commands import SubnetInspect, SubnetList
from synnefo_tx.compute.pools.commands import PoolCreate, PoolList
from synnefo_tx.compute.ports.commands import IpList, PortInspect, PortList
from synnefo_tx.compute.servers.change_commands import ServerCreate, ServerModify, ServerRemove
from synnefo_tx.compute.servers.commands import ServerList, ServerShow
from synnefo_tx.compute.servers.inspect_commands import ServerInspect
from synnefo_tx.compute.servers.reconcile_commands import ReconcileResources, ReconcileServers
from synnefo_tx.ganeti.backends.commands import BackendModify, BackendUpdateStatus
from synnefo_tx.ganeti.broker.commands import QueueInspect, QueueRetry
from synnefo_tx.identity.projects.change_commands import ProjectControl, ProjectModify
from synnefo_tx.identity.projects.commands import ProjectList, ProjectShow
from synnefo_tx.identity.quota.commands import QuotaList, QuotaVerify, ResourceList, ResourceModify
from synnefo_tx.identity.sessions.commands import SessionEnd, SessionList
from synnefo_tx.identity.users.commands import UserAdd, UserList, UserModify, UserShow
from synnefo_tx.journal.commands import JournalList
from synnefo_tx.keyring.commands import SecretList, SecretRotate
from synnefo_tx.mail.commands import MailList, MailRetry

COMMANDS: tuple[type[Command], ...] = (
    BackendAdd,
    BackendList,
    BackendModify,
    BackendRemove,
    BackendUpdateStatus,
    Completion,
    DbMigrate,
    FlavorCreate,
    FlavorList,
    ImageList,
    ImageRegister,
    IpList,
    JournalList,
    MailList,
    MailRetry,
    NetworkCreate,
    NetworkList,
    NetworkRemove,
    PoolCreate,
    PoolList,
    PortInspect,
    PortList,
    ProjectControl,
    ProjectList,
    ProjectModify,
    ProjectShow,
    QueueInspect,
    QueueRetry,
    QuotaList,
    QuotaVerify,
    ReconcileResources,
    ReconcileServers,
    ResourceList,
    ResourceModify,
    SecretList,
    SecretRotate,
    ServerCreate,
    ServerInspect,
    ServerList,
    ServerModify,
    ServerRemove,
    ServerShow,
    SessionEnd,
    SessionList,
    StreamReset,
    SubnetInspect,
    SubnetList,
    UserAdd,
    UserList,
    UserModify,
    UserShow,
    VolumeTypeCreate,
    VolumeTypeList,
)
