"""Media: images, sounds, texts and arrays, read as a model takes them and written as people use them.

Nothing here loads libsndfile before there is a sound to read or write.
"""

from ltzoo.media.array_items import ArrayItems
from ltzoo.media.data_set import Items, open_items
from ltzoo.media.items import FileItems, MemoryItems, TextLines
from ltzoo.media.reading import Item, read_media
from ltzoo.media.sheet import SHEET, SheetRow, contact_sheet
from ltzoo.media.walk import check_walk_suffix, write_walk
from ltzoo.media.writing import check_suffix, encode_media, suffixes_of, write_media

__all__ = [
    "SHEET",
    "ArrayItems",
    "FileItems",
    "Item",
    "Items",
    "MemoryItems",
    "SheetRow",
    "TextLines",
    "check_suffix",
    "check_walk_suffix",
    "contact_sheet",
    "encode_media",
    "open_items",
    "read_media",
    "suffixes_of",
    "write_media",
    "write_walk",
]
