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
class VolumeTypeUse:
    """A volume type, and how many live flavors and volumes are of it."""

    volume_type: VolumeType
    flavors: int
    volumes: int


@frozen
class FlavorSize:
    """What a flavor is unique in."""

    cpu: int
    ram_mib: int
    disk_gib: int
    volume_type: VolumeType

    @property
    def name(self) -> str:
        """The original's name: C<cpu>R<ram>D<disk><template>."""
        return f"C{self.cpu}R{self.ram_mib}D{self.disk_gib}{self.volume_type.disk_template}"


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
    def size(self) -> FlavorSize:
        """What the flavor is unique in."""
        return FlavorSize(self.cpu, self.ram_mib, self.disk_gib, self.volume_type)

    @property
    def name(self) -> str:
        """The name of its size."""
        return self.size.name
