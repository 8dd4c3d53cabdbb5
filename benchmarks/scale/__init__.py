"""Many notebooks on few sessions: the local pool's allocation code under simulated time."""
