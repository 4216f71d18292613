"""Limits on the resources that clients can use: connections, open files, request bodies, sizes and the queue."""
