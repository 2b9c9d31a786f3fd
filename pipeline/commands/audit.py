"""`facerefs audit`: judge the pairs and splits of a build, and write the findings with pictures."""

import json
import posixpath
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.audit.audit import audit, audit_lines
from facerefs.pipeline.audit.page import audit_page
from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.config.renamed_settings import with_new_names
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.report.sections.facts import read_plan
from facerefs.pipeline.storage.lease import locked_build
from facerefs.schemas.manifest import MANIFEST_FILE

PAGE, FACTS = "audit.html", "audit.json"


def audit_command(folder: str | Path, as_json: bool) -> None:
    """Print the findings, and write `audit.html` and `audit.json` into the build's folder. Raises UserError."""
    storage = open_build(folder)
    if storage.read_text(f"samples/{MANIFEST_FILE}") is None:
        raise UserError(f"{folder} is unfinished: run the same facerefs build again, then audit it")
    config = read_config(None, base=with_new_names(dict(read_plan(storage).get("config") or {})))
    with locked_build(storage):
        try:
            found = audit(storage, config)
        except ValueError as error:  # an embedder whose cosines are not known
            raise UserError(str(error)) from None
        facts = json.dumps(found.facts(), indent=2)
        storage.write_text(FACTS, facts + "\n")
        storage.write_text(PAGE, audit_page(storage, found, posixpath.basename(storage.root)))
    if as_json:
        print(facts)  # noqa: T201 (rich would fold it)
        return
    console = Console(soft_wrap=True, markup=False)
    for line in (*audit_lines(found), f"pictures    {storage.address}/{PAGE}"):
        console.print(line, highlight=False)
