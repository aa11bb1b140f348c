"""The metrics: pure functions on tensors, one family a module.

Where a figure is a mean over items, the function gives the items' values, so that intervals can be made
of them.
"""
