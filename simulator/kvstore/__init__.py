"""R-KVStore (ApsaraDB for Redis / Tair, API 2015-01-01): fleet, state, operations, errors and wire apart."""
