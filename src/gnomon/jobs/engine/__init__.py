"""Durable work: the port `Jobs`, what runs behind it, and what keeps it honest (leases, fences, the reaper)."""
