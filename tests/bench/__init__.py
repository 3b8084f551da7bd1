"""How fast the product is, as a ratio to a floor or a peer that is measured in the same run.

``python -m tests.bench`` prints a table; ``docs/performance.md`` says how to read it. Nothing here fails on a clock:
the table says which goals were met.
"""
