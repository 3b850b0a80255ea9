"""The cloud on one machine: R-KVStore, Function Compute and a log store over real sockets, no account needed.

Nothing here is shipped with the function. `python -m simulator --help` shows what a person can do with it; a test
begins with `Cloud`.
"""

from simulator.clock import ScaledClock, SimulatedClock
from simulator.cloud import Cloud
from simulator.exact import ExactClock
from simulator.faults import Fault, Faults
from simulator.fc.config import FunctionConfig
from simulator.fc.invocation import Invocation
from simulator.fc.kill_switch import Killed
from simulator.kvstore.fleet import Fleet, Instance
from simulator.kvstore.operations import Behaviour

__all__ = [
    "Behaviour",
    "Cloud",
    "ExactClock",
    "Fault",
    "Faults",
    "Fleet",
    "FunctionConfig",
    "Instance",
    "Invocation",
    "Killed",
    "ScaledClock",
    "SimulatedClock",
]
