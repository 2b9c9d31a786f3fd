"""`python -m tests.fuzz`: fuzz all targets, or some, and print a table; inputs of findings go into build/fuzz/."""

import argparse
import hashlib
import sys
from pathlib import Path

from tests.fuzz.harness import Report, fuzz
from tests.fuzz.targets import targets

_OUT = Path("build/fuzz")


def main() -> int:
    """Fuzz; returns 1 if anything but a promised error came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="Targets; all if none is named.")
    parser.add_argument("--executions", type=int, default=60_000, help="Of each target.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = [target for target in targets() if not options.names or target.name in options.names]
    sys.stdout.write("| target | executions | refused | s | findings |\n|---|---|---|---|---|\n")
    reports = []
    for target in chosen:
        reports.append(report := fuzz(target, options.executions, options.seed))
        _print(report)
    sys.stdout.write(f"{sum(report.executions for report in reports):,} executions\n")
    return int(any(report.findings for report in reports))


def _print(report: Report) -> None:
    findings = "; ".join(sorted(report.findings)) or "none"
    sys.stdout.write(
        f"| {report.name} | {report.executions:,} | {report.refused:,} | {report.seconds:.0f} | {findings} |\n"
    )
    sys.stdout.flush()
    for data in report.findings.values():
        _OUT.mkdir(parents=True, exist_ok=True)
        (_OUT / f"{report.name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
