"""What does a container run? The service that EVOLVE_SERVICE names, or the web server, in the place of this process."""

import os
import sys
from pathlib import Path

service = os.environ.get("EVOLVE_SERVICE", "")
if service == "web":
    os.execv(sys.executable, [sys.executable, "-m", "evolve", "serve", *sys.argv[1:]])
launcher = Path(__file__).resolve().parents[1] / "services" / f"launch_{service}.py"
if not service.isidentifier() or not launcher.is_file():
    sys.exit(f"EVOLVE_SERVICE must name a service, or web; not {service!r}")
os.execv(sys.executable, [sys.executable, str(launcher), *sys.argv[1:]])
