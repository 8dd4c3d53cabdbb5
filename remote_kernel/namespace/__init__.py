"""Program that takes a notebook's variables apart and puts them together again, inside the notebook's own interpreter.

It is sent to the pod as an archive, under another name, and needs Python 3.9, IPython, and what comes with the archive.
"""
