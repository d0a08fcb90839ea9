"""Reports of runs as pages that need nothing: one file, no network, no script."""
