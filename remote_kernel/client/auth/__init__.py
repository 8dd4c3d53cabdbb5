"""Bearer tokens for a session pool, and Azure logins that give them."""
