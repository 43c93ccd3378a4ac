"""Which resources a proxy may have next, when, and what it really holds: pure decisions and the ledger."""
