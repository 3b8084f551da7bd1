"""What is promised about money and events, tried at a size that the tests have no time for.

``python -m tests.prove`` runs the proofs one after the other; ``docs/reliability.md`` says what each holds and how to
read its figures. A proof fails on a broken promise and on nothing else: no clock judges here.
"""
