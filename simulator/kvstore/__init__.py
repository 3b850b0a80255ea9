"""R-KVStore (ApsaraDB for Redis / Tair, API 2015-01-01).

`fleet`: which instances exist. `state`: their status and backups. `operations`: the API's six operations.
`parameters` and `entries`: what goes into those and comes out. `wire`: requests and answers over HTTP. `errors`: the
service's errors.
"""
