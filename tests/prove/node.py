"""``paylink``, as a proof wants it: ``python -m tests.prove.node serve --role all``.

``PROVE_TRY_S`` and ``PROVE_CALL_S`` shorten how long the provider is waited for. ``PROVE_MUTANT`` breaks the product in
one named way: a proof that does not notice is no proof.
"""

import os
from functools import partial

from paylink import cli, main
from paylink.psp.stripe import StripePsp
from tests.prove import mutants


def run() -> None:
    if "PROVE_TRY_S" in os.environ:
        waits = {"try_seconds": float(os.environ["PROVE_TRY_S"]), "call_seconds": float(os.environ["PROVE_CALL_S"])}
        vars(main)["StripePsp"] = partial(StripePsp, **waits)  # type: ignore[arg-type]
    if mutant := os.environ.get("PROVE_MUTANT"):
        mutants.MUTANTS[mutant]()
    cli.app()


if __name__ == "__main__":
    run()
