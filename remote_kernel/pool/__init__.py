"""The local session pool: an Azure-like front door over pods that are processes of this machine."""
