"""The simulation of a cluster, where its result can be told on paper."""

from dataclasses import replace

import pytest

from benchmarks.scale.costs import PART_STAGES, WHOLE_STAGES, BuildCosts, StageCost, fitted
from benchmarks.scale.model import Prices, estimate
from benchmarks.scale.simulate import Cluster, simulate_parts

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
