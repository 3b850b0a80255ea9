"""The pipeline's side of the project: asks the function for backups and waits for them. Not shipped with the function.

arguments (cli) ─► request and batches (asking) ─► the function (calling) ─► merged report (merging)
                        └─────────── again, until all is final (rounds) ◄───────────┘
"""
