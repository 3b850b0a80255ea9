"""Chaos: random fleets, events, faults, kills, outages and repeats, and what must hold all the same.

Everything is drawn from a round's seed, and invocations run side by side on an exact clock with one worker each, so
that a failing seed replays exactly.
"""

from chaos.costs import cost_of_following
from chaos.plan import MAX_ATTEMPTS, Plan, draw
from chaos.rounds import Round, run_plan, run_round
from chaos.story import SECRETS

__all__ = ["MAX_ATTEMPTS", "SECRETS", "Plan", "Round", "cost_of_following", "draw", "run_plan", "run_round"]
