"""Wire version 2 between kernel and pod: frames, batches, compression, files, packages, saves."""
