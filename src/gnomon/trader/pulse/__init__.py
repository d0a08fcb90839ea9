"""Pulse: the runtime that runs a Strategy over the wire. Light: no server, no SQL, no torch, no frames."""
