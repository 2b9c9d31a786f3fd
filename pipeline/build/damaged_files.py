"""Says and mends what is damaged in the files of a build, before and while it is brought up to date."""

from collections.abc import Callable, Sequence

from rich.console import Console

from facerefs.pipeline.build.listing import LISTED_FILE
from facerefs.pipeline.errors import DamagedFileError, RunError
from facerefs.pipeline.runner.event_log import EventLog
from facerefs.pipeline.storage.damage import mend
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural, shown


class DamagedFiles:
    """Counts the damaged files of a build; each is said when it is found, and made anew by what follows."""

    def __init__(self, storage: Storage, console: Console, log: EventLog) -> None:
        self._storage, self._console, self._log = storage, console, log
        self.count = 0

    def find(self, every_file: bool) -> bool:
        """Whether any file is damaged. every_file: look also into those whose size and time did not change."""
        before = self.count
        for damage in mend(self._storage, every_file):
            self.count += 1
            self._console.print(f"{'damaged':<11} {shown(str(damage))}", highlight=False)
            self._log.write("damaged", {"file": damage.file, "what": damage.what})
            if damage.table == "sources":  # else a service is not asked again for the list that it gave
                self._storage.remove_file(LISTED_FILE)
        return self.count > before

    def around(self, update: Callable[[], Sequence[str]]) -> Sequence[str]:
        """What `update` returns; if it meets a damaged file, all files are checked, and it runs once more."""
        try:
            return update()
        except RunError as error:
            if not _is_damage(error) or not self.find(every_file=True):
                raise
            return update()

    @property
    def closing_line(self) -> str | None:
        """How many files were damaged; None if none was."""
        if not self.count:
            return None
        return f"damaged     {plural(self.count, 'file')} changed after being written; made anew, see above"


def _is_damage(error: RunError) -> bool:
    """Whether a damaged file is the cause; a worker sends its error as text."""
    return isinstance(error, DamagedFileError) or DamagedFileError.__name__ in error.details
