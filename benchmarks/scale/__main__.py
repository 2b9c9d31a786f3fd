"""`python -m benchmarks.scale BUILD BUILD ...`: what 1e7 and 1e8 photos would take, from builds of several sizes.

Each BUILD was made in one run on an idle machine, by `--workers` workers. Prints the measured costs and the model, and
writes benchmarks/out/scale.json and, with --picture, a picture of the curves.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.paired import OUT
from benchmarks.scale.costs import BuildCosts, StageCost, costs_of_build, fitted
from benchmarks.scale.model import Estimate, Prices, estimate
from benchmarks.scale.simulate import Cluster
from benchmarks.scale.whole import WholeCost, measured

_NODES = (1, 2, 5, 10, 20, 50, 100, 200)


def main() -> None:
    """Measure, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("builds", nargs="+")
    parser.add_argument("--workers", type=int, default=1, help="With which the builds were made.")
    parser.add_argument("--photos", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--cores", type=int, default=64)
    parser.add_argument(
        "--whole", type=Path, help="scale_stages.json: whole stages in pieces, measured on larger tables."
    )
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    builds = [costs_of_build(place, options.workers) for place in options.builds]
    costs = fitted(builds)
    whole = measured(options.whole) if options.whole else {}
    largest = max(builds, key=lambda build: build.photos)
    bytes_per_photo = {table: size / largest.photos for table, size in largest.bytes.items()}
    _print_costs(builds, costs)
    _print_whole(whole)
    cluster = Cluster(options.nodes, options.cores)
    estimates = [
        estimate(photos, costs, bytes_per_photo, cluster, Prices(), whole) for photos in options.photos
    ]
    _print_estimates(estimates, cluster)
    most = max(options.photos)
    curve = [
        estimate(most, costs, bytes_per_photo, Cluster(nodes, options.cores), Prices(), whole)
        for nodes in _NODES
    ]
    print(f"\n| nodes of {options.cores} cores, {most:.0e} photos | hours | most of it |\n|---|---|---|")
    for nodes, one in zip(_NODES, curve, strict=True):
        print(f"| {nodes} | {one.hours:.1f} | {one.weakest} |")
    OUT.mkdir(exist_ok=True)
    text = json.dumps([asdict(one) | {"hours": one.hours} for one in [*estimates, *curve]], indent=1)
    (OUT / "scale.json").write_text(text + "\n")
    if options.picture:
        _draw(options.picture, costs, builds, curve, options.cores)


def _print_costs(builds: list[BuildCosts], costs: list[StageCost]) -> None:
    sizes = " | ".join(f"s at {build.photos}" for build in builds)
    print(f"| stage | {sizes} | ms per photo | measured at | grows as photos to the |")
    print("|---" * (len(builds) + 4) + "|")
    for cost in costs:
        seconds = " | ".join(f"{build.seconds[cost.name]:.2f}" for build in builds)
        cells = (
            cost.name,
            seconds,
            f"{cost.per_photo_s * 1000:.2f}",
            f"{cost.measured_photos:,}",
            f"{cost.exponent:.2f}",
        )
        print(f"| {' | '.join(cells)} |")


def _print_whole(whole: Mapping[str, WholeCost]) -> None:
    if not whole:
        return
    print("\n| whole stage | rows | driver s | pieces s | kB sent a row | pieces, hours of cores at 1e8 |")
    print("|---|---|---|---|---|---|")
    for cost in whole.values():
        kinds = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in cost.pieces_s.items())
        sent = cost.sent_bytes / cost.rows / 1000
        hours = cost.pieces(1e8) / 3600
        print(f"| {cost.name} | {cost.rows} | {cost.driver_s:.1f} | {kinds} | {sent:.1f} | {hours:,.0f} |")


def _print_estimates(estimates: list[Estimate], cluster: Cluster) -> None:
    print(f"\n{cluster.nodes} nodes of {cluster.cores} cores:\n")
    names = [run.name for run in estimates[0].runs]
    print(
        f"| photos | {' h | '.join(names)} h | all h | weakest link | TB | $ compute | $ requests | $ a month to keep |"
    )
    print("|---" * (len(names) + 7) + "|")
    for one in estimates:
        hours = " | ".join(f"{run.wall_s / 3600:.2f}" for run in one.runs)
        print(
            f"| {one.photos:.0e} | {hours} | {one.hours:.1f} | {one.weakest} | {one.gigabytes / 1000:.1f} "
            f"| {one.dollars_compute:,.0f} | {one.dollars_requests:,.0f} | {one.dollars_storage_month:,.0f} |"
        )
        redone = sum(run.parts_redone for run in one.runs)
        print(
            f"| | {' | '.join(f'busy {run.busy_share:.0%}' for run in one.runs)} | {redone} parts redone | | | | | |"
        )


def _draw(
    path: Path, costs: list[StageCost], builds: list[BuildCosts], curve: list[Estimate], cores: int
) -> None:
    import numpy as np
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2))
    photos = np.logspace(2, 8, 40)
    for cost in costs:
        (line,) = left.loglog(
            photos, [cost.seconds(count) / 3600 for count in photos], label=cost.name, linewidth=1
        )
        left.loglog(
            [build.photos for build in builds],
            [max(build.seconds[cost.name], 1e-3) / 3600 for build in builds],
            "o",
            color=line.get_color(),
            markersize=3,
        )
    left.set_xlabel("photos")
    left.set_ylabel("core hours (dots: measured builds)")
    left.legend(fontsize=7)
    right.loglog(_NODES, [one.hours for one in curve], "o-")
    right.loglog(
        _NODES, [curve[0].hours / nodes for nodes in _NODES], "--", linewidth=0.8, label="if all of it scaled"
    )
    right.set_xlabel(f"nodes of {cores} cores")
    right.set_ylabel(f"hours for {curve[0].photos:.0e} photos (simulated)")
    right.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
