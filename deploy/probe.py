"""Does what this container runs answer? Exit code 0 if so: the service's replica on this host, or the web server's liveness."""

import os
import sys
import urllib.error
import urllib.request

service = os.environ.get("EVOLVE_SERVICE", "")
if service != "web":
    os.execv(sys.executable, [sys.executable, "-m", "evolve", "ping", service, "--here"])
port = os.environ.get("EVOLVE_WEB_PORT") or "8765"
try:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5).close()
except (urllib.error.URLError, OSError) as error:
    sys.exit(f"the web server does not answer: {error}")
