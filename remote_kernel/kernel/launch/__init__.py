"""Launch options of this kernel's interpreters: how each is to be started, and what it is told of the notebook."""
