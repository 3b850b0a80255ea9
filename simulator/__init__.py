"""The cloud on one machine: R-KVStore, Function Compute, OSS and a log store over real sockets, without an account.

A test makes a `Cloud`; `python -m simulator --help` shows what a person can do. Nothing here is deployed with the
function. The way of a call: `server` → `gateway` (`signatures`, `credentials`, `ram`, `rate_limits`, `faults`,
`kill_switch`) → a service (`kvstore`, `fc`, `oss`), each with `wire` → `operations` → `state`, and `errors`. The files
of backups are in `downloads`, as `rdb` makes them; what the function writes is in `logstore`. `clock` and `exact_clock`
move the time, and `commands` has the commands.
"""

from simulator.clock import ScaledClock, SimulatedClock
from simulator.cloud import Cloud
from simulator.downloads.files import File
from simulator.exact_clock import ExactClock
from simulator.faults import Fault, Faults
from simulator.fc.config import FunctionConfig
from simulator.fc.state import Invocation
from simulator.kill_switch import Killed
from simulator.kvstore.behaviour import Behaviour
from simulator.kvstore.fleet import Fleet, Instance

__all__ = [
    "Behaviour",
    "Cloud",
    "ExactClock",
    "Fault",
    "Faults",
    "File",
    "Fleet",
    "FunctionConfig",
    "Instance",
    "Invocation",
    "Killed",
    "ScaledClock",
    "SimulatedClock",
]
