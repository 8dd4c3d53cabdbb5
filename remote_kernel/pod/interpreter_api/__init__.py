"""Azure's interpreter API in a pod, for clients that know no Jupyter."""
