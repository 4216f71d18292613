"""Files: atomic writing, locks, failed writes, the cache folder, downloads, and untrusted reading."""
