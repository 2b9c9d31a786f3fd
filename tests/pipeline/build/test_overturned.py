"""A line of the report, pasted into `overrides.csv`, changes a decision, and the rebuild redoes only what follows."""

import html
import re
from pathlib import Path

import pytest

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.commands.test_cli import facerefs
from tests.pipeline.folders import contents

SETTINGS = (
    *("--labels", "trust", "--set", "rows_per_part=4", "--set", "shard.shard_mb=0.5"),
    *("--set", "shard.val_share=0.3", "--set", "analyse.niqe=false"),
)

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def build(photos: Path, out: Path) -> dict[str, str]:
    """Build; returns the last line that each stage printed, by its name."""
    result = facerefs("build", photos, "--out", out, *SETTINGS)
    assert result.returncode == 0, result.stderr
    printed = [line.split(maxsplit=1) for line in result.stdout.splitlines() if line.strip()]
    return {words[0]: words[1] for words in printed if len(words) == 2}


def times(out: Path, table: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / table).iterdir()}


def files(out: Path) -> dict[str, bytes]:
    """Every file of a build, the report too."""
    return {name: data for name, data in contents(out).items() if name != ".lock"}


def test_a_line_of_the_report_overturns_a_decision_and_taking_it_away_brings_it_back(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "build"
    list(write_people(photos, identities=4, per_identity=4, size_px=400, seed=3))
    build(photos, out)
    first, storage = files(out), Storage(str(out))
    before = {table: times(out, table) for table in ("duplicates", "faces", "copies", "samples")}

    lines = re.findall(r"<code>(drop,[^<]*)</code>", (out / "report.html").read_text())
    face = lines[0].split(",")[1]
    (out / "overrides.csv").write_text(f"decision,what,other,comment\n{html.unescape(lines[0])}\n")
    printed = build(photos, out)
    (row,) = [row for row in storage.scan("identities").to_pylist() if row["face"] == face]
    assert (row["reject"], row["forced"], row["certainty"]) == (Reject.DROPPED_BY_PERSON, True, 1)
    assert "overrides.csv, line 2" in row["why"]
    samples = storage.scan("samples", ("target", "references")).to_pylist()
    assert samples
    assert face not in {one for sample in samples for one in (sample["target"], *sample["references"])}
    report = (out / "report.html").read_text()
    assert "Your decisions" in report
    assert lines[0] in report

    for stage in ("crawl", "dedupe", "analyse", "compare"):
        assert printed[stage].startswith("nothing to do"), (stage, printed[stage])
    for stage in ("cluster", "select", "shard"):
        assert printed[stage].startswith("part "), (stage, printed[stage])
    after = {table: times(out, table) for table in before}
    for table in ("duplicates", "faces", "copies"):
        assert after[table] == before[table]
    kept = [name for name in before["samples"] if before["samples"][name] == after["samples"].get(name)]
    assert any(name.endswith(".tar") for name in kept)
    assert len(kept) < len(before["samples"])

    (out / "overrides.csv").unlink()
    build(photos, out)
    again = files(out)
    assert [name for name in first | again if first.get(name) != again.get(name)] == []
