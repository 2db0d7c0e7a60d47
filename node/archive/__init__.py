"""2. Keep: an instance is on disk, whole and checked, before its sender hears of success."""

from node.archive.keep import Archive
from node.archive.part import AnnouncedInstance, Part
from node.archive.removal import RemovalList

__all__ = ["AnnouncedInstance", "Archive", "Part", "RemovalList"]
