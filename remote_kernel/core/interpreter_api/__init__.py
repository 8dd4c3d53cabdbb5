"""Azure's interpreter API: versions, paths and JSON, for both ends."""
