"""The world around the venue: prices over time and the ambient traders who quote, take and are liquidated.

Belongs here: what other parts of the venue may use. A scenario talks to the venue through the driver alone
and decides nothing about anybody else's orders.
"""

from simulated_exchange.scenario.assemble import build_scenario, genesis_for_scenario, scenarios_folder
from simulated_exchange.scenario.config import ScenarioConfig, load_config, scenario_names
from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.replay import ReplaySpec, parse_replay_spec, parse_utc_ms
from simulated_exchange.scenario.replay_files import Replay, load_replay
from simulated_exchange.scenario.runner import Scenario
from simulated_exchange.scenario.window import plan_clock

__all__ = [
    "Replay",
    "ReplaySpec",
    "Scenario",
    "ScenarioConfig",
    "ScenarioError",
    "build_scenario",
    "genesis_for_scenario",
    "load_config",
    "load_replay",
    "parse_replay_spec",
    "parse_utc_ms",
    "plan_clock",
    "scenario_names",
    "scenarios_folder",
]
