"""Flavors and volume types."""

from __future__ import annotations

from attrs import frozen


@frozen
class VolumeType:
    """A kind of disk; ``disk_template`` is Ganeti's, or ``ext_<provider>``."""

    id: int
    name: str
    disk_template: str
    deleted: bool

    @property
    def template(self) -> str:
        """Ganeti's template, without a provider."""
        return self.disk_template.partition("_")[0]

    @property
    def provider(self) -> str | None:
        """The provider of external storage, if it is one."""
        return self.disk_template.partition("_")[2] or None


@frozen
class Flavor:
    """A size of server."""

    id: int
    cpu: int
    ram_mib: int
    disk_gib: int
    volume_type: VolumeType
    allow_create: bool
    public: bool
    deleted: bool

    @property
    def name(self) -> str:
        """The original's name: C<cpu>R<ram>D<disk><template>."""
        return f"C{self.cpu}R{self.ram_mib}D{self.disk_gib}{self.volume_type.disk_template}"
