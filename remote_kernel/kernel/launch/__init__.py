"""Launch options of this kernel's interpreters: forwarded variables, the startup file, the notebook's name."""
