"""This kernel beside what people use instead to run a notebook's kernel somewhere else."""
