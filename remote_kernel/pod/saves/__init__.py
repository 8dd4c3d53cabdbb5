"""Saving and restoring variables of the pod's interpreters, by a program that the client has sent."""
