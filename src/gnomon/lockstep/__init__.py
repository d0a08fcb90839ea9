"""A client's side of lock-step, below whatever library it is written with: `gnomon.shim` puts it in place."""
