"""Function Compute: configuration, context, invocation, queue and wire apart."""
