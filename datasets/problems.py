"""Why a data set cannot be loaded at all: every message is one sentence for people. (A bad row is no problem but a report line.)"""


class DatasetUnusable(Exception):
    """Nothing was loaded; `str()` says what is wrong and, where it helps, what to do."""


class SourceNotFound(DatasetUnusable):
    """No file or folder is there, or it cannot be read."""


class DownloadFailed(DatasetUnusable):
    """The address did not deliver a file, or one that is too large."""


class ArchiveUnreadable(DatasetUnusable):
    """The archive is damaged, protected by a password, unsafe, or none at all."""


class LayoutUnknown(DatasetUnusable):
    """The files are not those of a layout that can be read, or of more than one data set."""


class FileUnusable(DatasetUnusable):
    """A file of the data set lacks a column or is not text."""


class TooManyBadRows(DatasetUnusable):
    """So many rows are bad that the file is probably not what it seems."""
