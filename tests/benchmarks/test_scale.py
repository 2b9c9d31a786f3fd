"""The simulation of a cluster, where its result can be told on paper."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale.costs import PART_STAGES, WHOLE_STAGES, BuildCosts, StageCost, fitted
from benchmarks.scale.model import Prices, estimate
from benchmarks.scale.simulate import Cluster, simulate_parts
from benchmarks.scale.whole import ROWS_PER_PIECE, WholeCost, measured

IDEAL = Cluster(
    nodes=2,
    cores=2,
    spread=0.0,
    slow_share=0.0,
    lost_per_node_day=0.0,
    plan_s=0.0,
    start_s=0.0,
    replaced_after_s=10.0,
)


def test_equal_parts_on_a_sound_cluster_take_their_share() -> None:
    run = simulate_parts("analyse", 40, 3.0, IDEAL)
    assert run.wall_s == pytest.approx(30.0)
    assert run.busy_share == pytest.approx(1.0)
    assert run.parts_redone == 0


def test_one_part_more_than_workers_takes_a_round_more() -> None:
    assert simulate_parts("analyse", 5, 3.0, IDEAL).wall_s == pytest.approx(6.0)


def test_a_driver_that_plans_slowly_is_what_is_waited_for() -> None:
    run = simulate_parts("analyse", 100, 0.1, replace(IDEAL, plan_s=1.0))
    assert run.wall_s == pytest.approx(100.1)
    assert run.driver_share > 0.99


def test_lost_nodes_and_slow_ones_cost_time_but_no_part() -> None:
    sound = simulate_parts("analyse", 400, 30.0, IDEAL)
    worse = simulate_parts("analyse", 400, 30.0, replace(IDEAL, lost_per_node_day=50.0))
    assert worse.parts_redone > 0
    assert worse.wall_s > sound.wall_s
    assert simulate_parts("analyse", 400, 30.0, replace(IDEAL, slow_share=1.0)).wall_s == pytest.approx(
        sound.wall_s * 2
    )
    assert worse == simulate_parts("analyse", 400, 30.0, replace(IDEAL, lost_per_node_day=50.0))


def test_costs_leave_out_what_a_stage_takes_to_start_and_see_what_grows_faster() -> None:
    builds = [
        BuildCosts(
            n, dict.fromkeys(PART_STAGES, 5 + 0.1 * n) | dict.fromkeys(WHOLE_STAGES, 1e-4 * n**1.5), {}
        )
        for n in (100, 1000)
    ]
    costs = {cost.name: cost for cost in fitted(builds)}
    assert costs["analyse"].per_photo_s == pytest.approx(0.1)
    assert costs["cluster"].exponent == pytest.approx(1.5)
    assert costs["cluster"].seconds(10_000) == pytest.approx(1e-4 * 10_000**1.5)
    with pytest.raises(ValueError, match="two sizes"):
        fitted(builds[:1])


def test_more_nodes_stop_helping_where_one_process_works_alone() -> None:
    costs = [StageCost("analyse", 0.1, 1000), StageCost("cluster", 0.001, 1000)]
    few, many = (estimate(1e6, costs, {"faces": 1e4}, Cluster(nodes), Prices()) for nodes in (1, 50))
    assert few.hours > many.hours > 1000 / 3600
    assert many.weakest.startswith("cluster")
    assert many.gigabytes == pytest.approx(10)


def test_a_whole_stage_is_the_driver_and_then_pieces_on_all_cores() -> None:
    rows = 40 * ROWS_PER_PIECE
    cost = WholeCost("compare", rows, 5.0, {"hamming.compared_with_all": 40.0}, sent_bytes=0)
    assert cost.run(rows, IDEAL).wall_s == pytest.approx(5 + 2 + 10)
    assert cost.run(rows, replace(IDEAL, nodes=4)).wall_s == pytest.approx(5 + 2 + 5)
    twice = cost.run(2 * rows, IDEAL)
    assert twice.wall_s == pytest.approx(10 + 2 + 40), "every hash with every other"
    assert twice.driver_share == pytest.approx(10 / 52)
    slow = replace(cost, sent_bytes=1.25e9 * 100)
    assert slow.run(rows, IDEAL).wall_s == pytest.approx(105)


def test_work_grows_by_its_kind_and_one_that_is_not_known_is_an_error() -> None:
    def grown(kind: str, rows: float) -> float:
        return WholeCost("cluster", 100_000, 0.0, {kind: 1.0}, 0).pieces(rows)

    assert grown("groups.linked_in_piece", 1e6) == pytest.approx(10)
    assert grown("faiss_index.compared_with_lists", 1e7) == pytest.approx(1000)
    assert grown("faiss_index.compared_with_all", 1e6) == pytest.approx(100)
    assert 225 / 8 < grown("faiss_index.compared_with_all", 2e6) < 225
    with pytest.raises(ValueError, match="nobody has said how"):
        grown("other.work", 1e6)


def test_the_largest_measured_set_counts(tmp_path: Path) -> None:
    case = {"stage": "cluster check", "rows": 10, "split": True, "cpu_s": 3.0, "sent_mb": 2}
    cases = [
        case | {"pieces_s": {"groups.linked_in_piece": 1.0}},
        case | {"rows": 5, "pieces_s": {}},
        {"stage": "select", "rows": 10, "cpu_s": 3.0},
    ]
    file = tmp_path / "scale_stages.json"
    file.write_text(json.dumps(cases))
    assert measured(file) == {"cluster": WholeCost("cluster", 10, 2.0, {"groups.linked_in_piece": 1.0}, 2e6)}
