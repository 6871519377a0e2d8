"""quantstats' HTML report of a track record: one page with metrics and charts, as its documentation makes it."""

from __future__ import annotations

import json
import sys
import time
import warnings

began = time.process_time()
warnings.simplefilter("ignore")
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import quantstats  # noqa: E402

given = np.load(sys.argv[1])
close = pd.Series(given["close"], index=pd.to_datetime(given["time"], unit="ms"))
quantstats.reports.html(close.pct_change().dropna(), output=sys.argv[1] + ".html")
print(json.dumps({"first": time.process_time() - began}))
