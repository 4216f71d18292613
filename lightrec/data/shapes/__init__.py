"""Turn logs that hold lists (one row for each user or session, nested events) into one row for each event."""
