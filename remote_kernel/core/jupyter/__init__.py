"""Jupyter's messages: headers, signatures, `kernel_info`, files of the debugger, aims of interrupts."""
