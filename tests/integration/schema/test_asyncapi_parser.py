"""The AsyncAPI document is held against AsyncAPI's own parser (npm: @asyncapi/parser)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from evolve.client.core import all_requests
from evolve.messaging.asyncapi import document
from evolve.version import VERSION

PARSER = "@asyncapi/parser@3"
CHECK = """
const { Parser } = require('@asyncapi/parser');
const text = require('fs').readFileSync('document.json', 'utf8');
new Parser().validate(text).then(found => console.log(JSON.stringify(found.filter(one => one.severity === 0))));
"""


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_asyncapis_own_parser_finds_no_error_in_the_document(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("packages nodejs and npm are not installed; they get @asyncapi/parser")
    got = subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", PARSER], cwd=tmp_path, capture_output=True, check=False
    )
    if got.returncode:
        pytest.skip(f"the npm package {PARSER} could not be installed")
    services = {name: list(requests.values()) for name, requests in all_requests().items()}
    (tmp_path / "document.json").write_text(json.dumps(document(services, version=VERSION)))

    done = subprocess.run([node, "-e", CHECK], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
