"""The remote session of a kernel: bound, remembered, restarted, given back."""
