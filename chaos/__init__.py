"""Chaos tests: rounds of random fleets, events, faults, kills, outages and repeats, and what must hold after each.

`plan` draws a round from its seed (`instances`: its fleet), `events` makes the event, `rounds` runs it, `history`
collects what happened and `invariants` checks it. In one round of two, backups are read and copied (`proofs`), and
`judgement` and `proof_invariants` say what must come of that. `large_fleets` and `costs` measure fleets under a quota
and the cost of a long backup. Invocations run side by side on an exact clock with one worker each, so that a seed
replays exactly.
"""

from chaos.costs import cost_of_following
from chaos.history import SECRETS
from chaos.plan import MAX_ATTEMPTS, Plan, draw_plan
from chaos.rounds import Round, run_plan, run_round

__all__ = ["MAX_ATTEMPTS", "SECRETS", "Plan", "Round", "cost_of_following", "draw_plan", "run_plan", "run_round"]
