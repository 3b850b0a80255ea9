"""The command redis-backup: asks the function for backups and waits for them. Not shipped with the function.

arguments (cli) ─► request in batches (batches) ─► the function (client) ─► merged report (report)
                        └────────── again, until all states are final (polling) ◄───────────┘
"""
