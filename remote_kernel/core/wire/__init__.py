"""Wire version 2 between kernel and pod: frames, batches, compression, files, and a pod's description."""
