"""Hold over the turn of the month: its last weekdays and the first of the next. Holidays count as weekdays."""

from datetime import date, timedelta
from typing import Any

LAST_DAYS = 1
FIRST_DAYS = 3


def weekdays_between(first: date, last: date) -> int:
    """How many Mondays to Fridays, both ends included."""
    return sum((first + timedelta(days=n)).weekday() < 5 for n in range((last - first).days + 1))


def main(input_data: dict[str, Any]) -> dict[str, float]:
    # Decided now, held from the next open: the day that counts is the next weekday, which the calendar tells in advance.
    day = date.fromisoformat(input_data["market_data"]["time"][-1][:10]) + timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    nth, left = weekdays_between(day.replace(day=1), day), weekdays_between(day, last)
    return {"position": 1.0 if nth <= FIRST_DAYS or left <= LAST_DAYS else 0.0, "reading": float(nth)}
