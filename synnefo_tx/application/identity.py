"""Users, tokens, quota: wired and mounted."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.edges import Edges
from synnefo_tx.db.pool import Database
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.changes import AccessChanges
from synnefo_tx.identity.catalog.model import Catalog
from synnefo_tx.identity.projects.operations import Projects
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.identity.quota.resources import Resources
from synnefo_tx.identity.quota.routes import AccountRoutes
from synnefo_tx.identity.sessions.cookie import ByCookie, cookie_of
from synnefo_tx.identity.sessions.operations import Sessions
from synnefo_tx.identity.sessions.routes import SessionRoutes
from synnefo_tx.identity.tokens.failures import LoginFailures
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.tokens.routes import IdentityRoutes
from synnefo_tx.identity.users.operations import Users
from synnefo_tx.identity.users.passwords import Passwords
from synnefo_tx.mail.operations import Mails
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.rest.ways import Authenticators, by_token
from synnefo_tx.settings import Settings


@frozen
class IdentityParts:
    """Users, tokens, quota."""

    tokens: Tokens
    users: Users
    access: AccessChanges
    logins: Logins
    sessions: Sessions
    quota: Quota
    resources: Resources
    projects: Projects


def build_identity(
    settings: Settings, database: Database, edges: Edges, mails: Mails
) -> IdentityParts:
    """Users, tokens, quota."""
    own = settings.identity
    access = AccessChanges(database, own, edges.hearing, edges.clock)
    cache = AccessCache(access, edges.clock, own.tokens_kept_max)
    tokens = Tokens(database, own, edges.entropy, cache)
    passwords = Passwords(edges.threads.passwords, edges.entropy)
    logins = Logins(database, tokens, passwords, LoginFailures(database, own))
    sessions_cache = AccessCache(access, edges.clock, own.tokens_kept_max)
    return IdentityParts(
        tokens=tokens,
        users=Users(database, passwords, tokens, edges.entropy, edges.new_id, mails),
        access=access,
        logins=logins,
        sessions=Sessions(database, own, edges.entropy, logins, sessions_cache),
        quota=Quota(database),
        resources=Resources(database),
        projects=Projects(database),
    )


def ways(settings: Settings, identity: IdentityParts) -> Authenticators:
    """How requests say who sends them."""
    return {
        "token": by_token(identity.tokens.authenticate),
        "session": ByCookie(cookie_of(settings.site_url), identity.sessions),
    }


def mount_identity(site: ApiSite, settings: Settings, identity: IdentityParts) -> None:
    """Serve the endpoints of users, tokens and quota."""
    catalog = Catalog(settings.site_url)
    site.mount("/identity", IdentityRoutes(identity.tokens, identity.logins, catalog))
    site.mount("/ui", SessionRoutes(identity.sessions, cookie_of(settings.site_url)))
    site.mount("/account/v1.0", AccountRoutes(identity.quota, identity.resources))
