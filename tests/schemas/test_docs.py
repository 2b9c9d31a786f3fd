"""The tables of docs/shards.md are those of the definitions: a failed test prints the table to paste."""

import re
from pathlib import Path

import pytest

from facerefs.schemas.field_tables import field_table, file_table, json_tables
from facerefs.schemas.manifest import FILE, MANIFEST, SHARD
from facerefs.schemas.sample import DEGRADED, files_of

DOCS = Path(__file__).parents[2] / "docs/shards.md"
WRITTEN = {DEGRADED: ("jpg", "png")}
TABLES = {
    "files": file_table([(file, WRITTEN.get(file, file.extensions[::-1])) for file in files_of(masks=True)]),
    "JSON": json_tables(),
    "manifest": "\n".join(
        [
            field_table(MANIFEST),
            "Each of `shards`:\n",
            field_table(SHARD),
            "`index`, and each of `indexes_only` and `documents`:\n",
            field_table(FILE),
        ]
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_docs_hold_the_tables_of_the_definitions(name: str) -> None:
    found = re.search(rf"<!-- made from schemas: {name} -->\n(.*?)<!-- end -->", DOCS.read_text(), re.DOTALL)
    assert found is not None
    if found[1] != TABLES[name]:
        pytest.fail(f"{DOCS} is not up to date; between the marks of `{name}` belongs\n\n{TABLES[name]}")
