"""Function Compute.

`config`: how the function is deployed. `state`: invocations and the queue. `operations`: invoke, now or later.
`wire`: both over HTTP. `errors`: the service's errors. `invocation`, `context` and `output`: how one invocation runs.
`platform`: delivers what waits in the queue.
"""
