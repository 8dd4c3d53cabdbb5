"""Packages of the pod's interpreters: what is there, and installing what was sent."""
