"""`facerefs protocols`: the test sets that are the same for everybody."""

from rich.console import Console
from rich.table import Table

from facerefs.pipeline.protocols.apply import check_versions
from facerefs.pipeline.protocols.protocol import Protocol, as_yaml, read_protocol, shipped


def print_protocols(name: str | None) -> None:
    """Print a table of the protocols that ship, or one of them as YAML with its hash and commands. Raises UserError."""
    console = Console(soft_wrap=True, markup=False)
    if name is not None:
        protocol = read_protocol(name)
        check_versions(protocol)
        console.print(f"# hash {protocol.hash}", highlight=False)
        for command in commands_of(protocol, name):
            console.print(f"# {command}", highlight=False)
        console.print(as_yaml(protocol), highlight=False, end="")
        return
    table = Table("protocol", "hash", "what it is", box=None, pad_edge=False)
    for each in shipped():
        protocol = read_protocol(each)
        table.add_row(each, protocol.hash[:16], protocol.about)
    console.print(table)
    console.print("\nfacerefs protocols NAME shows one with the commands that make it.", highlight=False)


def commands_of(protocol: Protocol, name: str) -> list[str]:
    """The commands that make the set of a protocol and judge outputs on it; words in capitals are the user's."""
    made = [protocol.photos.command] if protocol.photos.command else []
    files = "".join(f" {file.option} FILE" for file in protocol.files)
    return [
        *made,
        f"facerefs build PHOTOS --protocol {name}{files} --out SET",
        f"facerefs evaluate OUTPUTS --protocol {name} --data SET --out FIGURES",
    ]
