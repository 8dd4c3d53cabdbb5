"""Files of a save: objects, packs of groups, and records in JSON."""
