"""In production one process serves a SQLite database, whatever the others' settings say."""

import os
import subprocess
from pathlib import Path

from paylink.kit.claim import alone
from tests.product import PAYLINK, environment
from tests.services import free_port

PRODUCTION = {
    "PAYLINK_ENV": "production",
    "PAYLINK_SECRET_KEYS": "a secret of this shop's own and long enough",
    "PAYLINK_PSP": "stripe",
    "PAYLINK_STRIPE_SECRET_KEY": "sk_test_x",
    "PAYLINK_STRIPE_PUBLISHABLE_KEY": "pk_test_x",
    "PAYLINK_STRIPE_WEBHOOK_SECRET": "whsec_x",
    "PAYLINK_CONSOLE_URL": "https://desk.example",
    "PAYLINK_CHECKOUT_URL": "https://pay.example",
}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    binds = {f"PAYLINK_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("CONSOLE", "CHECKOUT")}
    env = environment(PRODUCTION | binds | {"PAYLINK_DATABASE_URL": f"sqlite:///{tmp_path / 'p.db'}"})
    with alone(tmp_path / "p.db.lock"):
        done = subprocess.run(
            [PAYLINK, "serve"],
            env=env | {"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    assert f"Another process serves {tmp_path / 'p.db'}" in " ".join(done.stderr.split())
