"""Asks for two denied URLs through the proxy that is the argument, and prints what Python's own library says."""

import sys
import urllib.error
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": sys.argv[1], "https": sys.argv[1]}))
for scheme in ("http", "https"):
    try:
        opener.open(f"{scheme}://no.test/", timeout=10)
        print(f"{scheme}: it passed")
    except urllib.error.URLError as error:
        print(f"{scheme}: {error}")
