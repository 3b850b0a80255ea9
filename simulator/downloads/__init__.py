"""The files of backups, and the pre-signed addresses of OSS at which they can be downloaded.

`files`: what is in a backup's file. `addresses`: where it can be downloaded, and until when. `wire`: the requests for
it over HTTP. `errors`: OSS's errors.
"""
