"""Read files of any usual format, compression and encoding as tables of text."""
