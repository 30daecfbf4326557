"""./dev demo failover does what it shows."""

from __future__ import annotations

import re
import subprocess
import sys

from support.naru import REPOSITORY, binary


def test_the_orders_leave_the_broker_that_fails() -> None:
    binary("naru-example-orders")
    done = subprocess.run([sys.executable, str(REPOSITORY / "alerting" / "client" / "demo.py")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} CRITICAL broker main -> sub", done.stdout, re.M), done.stdout
