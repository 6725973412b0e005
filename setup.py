"""Packaging of synnefo_tx.

``twisted.plugins`` is listed so that ``twistd`` finds the plugin in a wheel;
``package_dir`` is needed for an editable install to show it as well.
"""

from pathlib import Path

from setuptools import find_packages, setup

REQUIREMENTS = Path(__file__).with_name("requirements") / "runtime.in"

setup(
    name="synnefo-tx",
    version="0.1.0",
    description="A cloud over Ganeti clusters: users, exact quota, machines, networks, consoles",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "."},
    packages=[*find_packages(include=["synnefo_tx", "synnefo_tx.*"]), "twisted.plugins"],
    package_data={
        "synnefo_tx": [
            "py.typed",
            "*/migrations/*.sql",
            "migrations/*.sql",
            "*/*/*.txt",
            "mail/templates/*/*",
        ]
    },
    install_requires=[
        line.split("#")[0].strip()
        for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()
        if line.split("#")[0].strip()
    ],
    entry_points={
        "console_scripts": [
            "snf-manage = synnefo_tx.cli.runner:main",
            "snf-progress-monitor = synnefo_tx.ganeti.eventd.monitor:main",
        ]
    },
    zip_safe=False,
)
