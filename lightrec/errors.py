"""Every error that lightrec raises on purpose.

One tree, so that a caller can catch as much or as little as needed::

    LightrecError
    ├── DataError              the data given cannot be used as it is
    ├── ConfigError            an option, flag or configuration key is wrong
    ├── MissingExtraError      an optional part of the installation is missing (also an ImportError)
    ├── DownloadError          a file could not be fetched or does not have the expected checksum
    ├── WriteError             a file or folder cannot be written, or another process is writing it
    ├── ModelError             a model or run folder cannot be loaded or does not fit the request
    │   └── DivergedError          training diverged to NaN
    ├── BundleError            a bundle cannot be read
    │   ├── BundleVersionError     it was written by a newer major version of the format
    │   └── BundleIntegrityError   a file is missing or differs from its recorded SHA-256
    ├── ParityError            an exported graph gives other answers than the original
    └── OutputError            standard output is closed or cannot be written

Each message is one sentence that names the file, row, column or flag and says how to fix it.
The command line prints the message alone and exits with code 2.
"""

from __future__ import annotations


class LightrecError(Exception):
    """Base of all errors that lightrec raises on purpose."""


class DataError(LightrecError):
    """The data given cannot be used as it is."""


class ConfigError(LightrecError):
    """An option, flag or configuration key is wrong."""


class MissingExtraError(LightrecError, ImportError):
    """An optional part of the installation is missing; the message names the extra that contains it."""


class DownloadError(LightrecError):
    """A file could not be fetched, or does not have the expected checksum."""


class WriteError(LightrecError):
    """A file or folder cannot be written (disk full, no permission), or another process is writing it."""


class ModelError(LightrecError):
    """A model or run folder cannot be loaded, or does not fit the request."""


class DivergedError(ModelError):
    """Training diverged to NaN: the settings are at fault, not a file."""


class BundleError(LightrecError):
    """A bundle cannot be read."""


class BundleVersionError(BundleError):
    """The bundle was written by a newer major version of the format."""


class BundleIntegrityError(BundleError):
    """A file of the bundle is missing or differs from its recorded SHA-256."""


class ParityError(LightrecError):
    """An exported graph gives other answers than the original."""


class OutputError(LightrecError):
    """Standard output was closed, or cannot be written."""
