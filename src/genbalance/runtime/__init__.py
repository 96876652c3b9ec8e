"""What a stage runs in: errors, files, git, locks, seeds, and all that decides the bytes of a result."""
