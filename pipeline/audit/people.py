"""Who is who in a build, by its labels and clusters."""

import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage


def people_of_faces(storage: Storage) -> dict[str, str]:
    """The person of each face of whom the build knows one, by the face's id."""
    known = storage.scan("identities", ("face", "identity", "reject"))
    known = known.filter(pc.is_null(known["reject"]))
    return dict(zip(known["face"].to_pylist(), known["identity"].to_pylist(), strict=True))
