"""`%session`: its parser, its actions, its completion."""
