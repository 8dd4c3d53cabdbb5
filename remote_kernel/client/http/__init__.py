"""HTTP to a session pool: client, transports, certificates, rejections."""
