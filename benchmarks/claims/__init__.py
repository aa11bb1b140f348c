"""The paper's claims, measured: ``python -m benchmarks.claims``, from the top of a checkout.

``variants`` says what is run, ``results`` is the form of what comes out, ``claims`` decides, ``page`` writes
it down; these four are torch-free. ``training``, ``runs`` and ``cost`` do the work.
"""
