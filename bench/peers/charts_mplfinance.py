"""mplfinance's candles with volume and two averages, as its documentation draws many of them (warnings off, all bars kept)."""

from __future__ import annotations

import json
import sys
import time

began = time.process_time()
import mplfinance  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

given = np.load(sys.argv[1])
frame = pd.DataFrame(
    {name.capitalize(): given[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(given["time"], unit="ms"),
)
spent = []
for _ in range(4):
    mplfinance.plot(
        frame, type="candle", mav=(20, 50), volume=True, figsize=(9.6, 6.0), warn_too_much_data=100_000,
        savefig={"fname": sys.argv[1] + ".png", "dpi": 125},
    )  # fmt: skip
    spent.append(time.process_time() - began)
    began = time.process_time()
print(json.dumps({"first": spent[0], "next": sorted(spent[1:])[1]}))
