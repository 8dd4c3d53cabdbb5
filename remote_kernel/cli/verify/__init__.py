"""`run --verify`: outputs compared with the stored ones."""
