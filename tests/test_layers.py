"""Who may import whom, read from the source; and whose tables a store may name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import synnefo_tx

ROOT = Path(synnefo_tx.__file__).parent
SHARED = {
    "authorities",
    "journal",
    "mail",
    "outbound",
    "threads",
    "units",
    "faults",
    "caller",
    "log",
    "settings",
    "timers",
    "keyring",
    "db",
    "rest",
    "changes",
}
# A component may import itself, what is shared, and those named here.
COMPONENTS = {
    "identity": set(),
    "ganeti": set(),
    "storage": {"identity"},
    "console": set(),
    "compute": {"identity", "ganeti", "console"},
}
PURE = {
    "model",
    "rules",
    "lifecycle",
    "charges",
    "placement",
    "rfb",
    "requests",
    "admission",
    "jobfile",
    "progress",
    "pending",
    "objects",
}
PURE_FORBIDDEN = ("twisted", "psycopg2", "treq", "klein", "txpostgres", "time", "random", "os")
# What a module of a resource package may import of its own component and below.
ROUTES_FORBIDDEN = {"store"}
DRIVER = {"psycopg2", "txpostgres"}
PROCESS = {"application", "starting", "service", "children", "supervisor", "worker", "tap"}


def modules() -> dict[str, Path]:
    """Dotted name below synnefo_tx and path of every module."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports when it is loaded, those for types left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return names


def own(names: set[str]) -> set[str]:
    """The part below synnefo_tx."""
    return {name.removeprefix("synnefo_tx.") for name in names if name.startswith("synnefo_tx.")}


class LayerTests(SynchronousTestCase):
    def test_components(self) -> None:
        """A component imports only itself, what is shared, and components below it."""
        wrong = []
        for name, path in modules().items():
            component = name.split(".")[0]
            if component not in COMPONENTS or name.endswith(("commands", ".tap")):
                continue
            allowed = SHARED | {component} | COMPONENTS[component]
            for other in own(imports(path)):
                if other.split(".")[0] not in allowed:
                    wrong.append(f"{name} imports {other}")
        self.assertEqual(wrong, [])

    def test_shared_know_no_component(self) -> None:
        """What all share knows none of those who share it."""
        wrong = []
        for name, path in modules().items():
            if name.split(".")[0] in SHARED:
                for other in own(imports(path)):
                    if other.split(".")[0] in COMPONENTS:
                        wrong.append(f"{name} imports {other}")
        self.assertEqual(wrong, [])

    def test_pure(self) -> None:
        """Models and decisions import no reactor, driver, clock or chance."""
        wrong = []
        for name, path in modules().items():
            # The cluster in memory is a simulation: its clock and chance are given.
            if name.rpartition(".")[2] in PURE and not name.startswith("ganeti.memory"):
                for other in imports(path):
                    if other.split(".")[0] in PURE_FORBIDDEN:
                        wrong.append(f"{name} imports {other}")
        self.assertEqual(wrong, [])

    def test_routes(self) -> None:
        """Routes reach the database through operations only; nobody imports routes but the
        application."""
        wrong = []
        for name, path in modules().items():
            last = name.rpartition(".")[2]
            for other in own(imports(path)):
                parts = other.split(".")
                if last == "routes" and ({"store", "db"} & set(parts)):
                    wrong.append(f"{name} imports {other}")
                wired = name.startswith(("application", "operation"))
                if "routes" in parts and not wired:
                    wrong.append(f"{name} imports {other}")
        self.assertEqual(wrong, [])

    def test_driver(self) -> None:
        """Only the database seam knows the driver."""
        wrong = [
            f"{name} imports {other}"
            for name, path in modules().items()
            for other in imports(path)
            if other.split(".")[0] in DRIVER and not name.startswith("db.")
        ]
        self.assertEqual(wrong, [])

    def test_no_global_reactor(self) -> None:
        """No module takes the reactor when it is loaded."""
        wrong = []
        for name, path in modules().items():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                    wrong += [name for each in node.names if each.name == "reactor"]
        self.assertEqual(wrong, [])

    def test_processes(self) -> None:
        """The modules that wire a process are imported by those that start one."""
        starters = PROCESS | {"cli", "demo"}
        wrong = [
            f"{name} imports {other}"
            for name, path in modules().items()
            for other in own(imports(path))
            if other.split(".")[0] in PROCESS and name.split(".")[0] not in starters
        ]
        self.assertEqual(wrong, [])


TABLE = re.compile(r"CREATE TABLE (\w+)")
SQL_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)")


class TableTests(SynchronousTestCase):
    def test_tables(self) -> None:
        """SQL names only tables of its own component."""
        owner = {}
        for path in ROOT.glob("*/migrations/*.sql"):
            for table in TABLE.findall(path.read_text(encoding="utf-8")):
                owner[table] = path.parent.parent.name
        wrong = []
        for name, path in modules().items():
            component = name.split(".")[0]
            if component not in COMPONENTS:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    for table in SQL_TABLE.findall(node.value):
                        if owner.get(table, component) != component:
                            wrong.append(f"{name} names {table} of {owner[table]}")
        self.assertEqual(wrong, [])

    def test_time_and_chance(self) -> None:
        """No statement takes time or chance from the server but through synnefo_now()."""
        forbidden = re.compile(r"\b(now|clock_timestamp|random|gen_random_uuid)\(\)")
        wrong = []
        for name, path in modules().items():
            if name.startswith("db."):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    wrong += [
                        name for each in forbidden.findall(node.value) if "SELECT" in node.value
                    ]
        self.assertEqual(wrong, [])
