"""2. Keep: an instance is on disk, whole and checked, before its sender hears of success."""

from node.archive.file_head import AnnouncedInstance
from node.archive.keep import Archive, Secured
from node.archive.outline import OutlineReader
from node.archive.part import Part
from node.archive.removal import RemovalList

__all__ = ["AnnouncedInstance", "Archive", "OutlineReader", "Part", "RemovalList", "Secured"]
