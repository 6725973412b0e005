"""Makes ``twistd synnefo`` and ``twistd synnefo-memory-ganeti`` known to twistd."""

from twisted.application.service import ServiceMaker

synnefo = ServiceMaker(
    "synnefo", "synnefo_tx.tap", "The cloud: APIs, console, cluster news, timers", "synnefo"
)
synnefo_worker = ServiceMaker(
    "synnefo-worker",
    "synnefo_tx.worker",
    "One process of twistd synnefo --workers N, which starts it",
    "synnefo-worker",
)
synnefo_memory_ganeti = ServiceMaker(
    "synnefo-memory-ganeti",
    "synnefo_tx.ganeti.memory.tap",
    "A Ganeti cluster in memory that speaks RAPI, for trials and tests",
    "synnefo-memory-ganeti",
)
