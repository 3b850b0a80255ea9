"""Object Storage Service (OSS).

`state`: buckets, objects and uploads. `content`: their bytes, in memory or in files. `operations`: those on an object,
a bucket or an upload; `listing`: lists; `ranges`: parts of an object. `address`: what a request is for. `wire`:
requests and answers over HTTP, in `xml`. `errors`: the service's errors.
"""
