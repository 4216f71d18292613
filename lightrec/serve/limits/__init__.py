"""Bounds on what clients can make the service hold: connections, open files, request bodies, sizes and the queue."""
