"""`remote-kernel run`: notebooks executed without a front end."""
