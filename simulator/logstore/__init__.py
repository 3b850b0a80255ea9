"""The log store (Simple Log Service): what functions wrote to standard output.

`state`: the logs it holds. `operations`: search. `wire`: one log, and how it looks in JSON.
"""

from simulator.logstore.operations import matching
from simulator.logstore.state import LogStore
from simulator.logstore.wire import Log, read

__all__ = ["Log", "LogStore", "matching", "read"]
