"""What a cluster in memory is set up with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

OS_PARAMETERS = (
    "img_id",
    "img_format",
    "img_passwd",
    "img_passwd_hash",
    "img_properties",
    "img_personality",
    "config_url",
    "os_fail",
    "os_sleep",
)

KVM_PARAMETERS: Mapping[str, Any] = {
    "acpi": True,
    "boot_order": "disk",
    "cdrom_image_path": "",
    "cdrom2_image_path": "",
    "cpu_type": "",
    "disk_aio": "threads",
    "disk_cache": "default",
    "disk_type": "paravirtual",
    "initrd_path": "",
    "kernel_args": "ro",
    "kernel_path": "",
    "keymap": "",
    "kvm_extra": "",
    "kvm_flag": "",
    "machine_version": "",
    "nic_type": "paravirtual",
    "root_path": "/dev/vda1",
    "serial_console": False,
    "usb_mouse": "",
    "use_localtime": False,
    "user_shutdown": False,
    "vga": "",
    "vhost_net": False,
    "vnc_bind_address": "",
    "vnc_password_file": "",
    "vnc_tls": False,
    "vnc_x509_path": "",
    "vnc_x509_verify": False,
}

HYPERVISOR_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "fake": {"migration_mode": "live"},
    "kvm": KVM_PARAMETERS,
}

BACKEND_PARAMETERS: Mapping[str, Any] = {
    "minmem": 128,
    "maxmem": 128,
    "vcpus": 1,
    "auto_balance": True,
    "always_failover": False,
    "spindle_use": 1,
}

MAX_VCPUS = 64
MAX_INSTANCE_MEMORY_MIB = 262_144


@frozen
class NodeConfig:
    """A node to begin with."""

    name: str
    memory_mib: int = 65_536
    disk_mib: int = 1_048_576
    cpus: int = 16
    group: str = "default"
    pip: str = "127.0.0.1"


@frozen
class ClusterConfig:
    """A cluster's constants. ``job_seconds`` is what an ordinary job takes, from its submission."""

    name: str = "memory.example"
    nodes: tuple[NodeConfig, ...] = (NodeConfig("node1.memory.example"),)
    mac_prefix: str = "aa:00:00"
    link: str = "br0"
    hypervisors: tuple[str, ...] = ("kvm", "fake")
    disk_templates: tuple[str, ...] = ("file", "sharedfile", "diskless", "ext")
    providers: tuple[str, ...] = ("testext",)
    os_names: tuple[str, ...] = ("snf-image", "testos")
    first_port: int = 11_000
    job_seconds: float = 1.0
    archive_after_seconds: float = 6 * 3600.0
    archived_jobs_kept: int = 10_000
