"""The command line: every verb parses, composes and prints; nothing else."""
