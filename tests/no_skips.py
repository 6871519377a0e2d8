"""Did every test run? A pytest plugin for CI (`-p no_skips`, by the Makefile when CI=true): a skipped test fails the run.

A test that skips because a tool is missing would otherwise prove nothing for years: CI must install the tool instead.
"""

from __future__ import annotations

import pytest


class Skips:
    """Collects what was skipped, in the process that reports: workers of xdist send their reports there."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure reports itself as skipped as well; it did run.
        if report.skipped and not hasattr(report, "wasxfail"):
            self.reasons[report.nodeid] = reason_of(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # a whole module, by importorskip
            self.reasons[report.nodeid] = reason_of(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.reasons and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.reasons:
            terminalreporter.section("skipped, which CI does not allow: install in .ci/run what they name", sep="-")
            for test, reason in sorted(self.reasons.items()):
                terminalreporter.line(f"{test}: {reason}")


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped, as the test put it."""
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Skips(), "evolve-no-skips")
