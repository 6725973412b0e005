"""All commands of ``snf-manage``; the only list of them."""

from __future__ import annotations

from synnefo_tx.cli.command import Command
from synnefo_tx.cli.schema import DbMigrate
from synnefo_tx.identity.projects.commands import ProjectList, ProjectShow
from synnefo_tx.identity.quota.commands import QuotaList, ResourceList, ResourceModify
from synnefo_tx.identity.users.commands import UserAdd, UserList, UserModify, UserShow

COMMANDS: tuple[type[Command], ...] = (
    DbMigrate,
    ProjectList,
    ProjectShow,
    QuotaList,
    ResourceList,
    ResourceModify,
    UserAdd,
    UserList,
    UserModify,
    UserShow,
)
