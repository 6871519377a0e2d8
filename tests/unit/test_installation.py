"""Setting up a bare machine: what is chosen, what is left alone, and what happens when it is cut short.

The whole set-up over a network is what CI does before it can run this file; here its decisions are tested one by one.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evolve import installation
from evolve.installation import Request, SetupFailed, Stamp, TorchUnavailable, UvSettings

SOURCE = Path(installation.__file__)
PIN = "torch==9.8.7"


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory):
    """A real virtual environment without pip, made once: 0.1 s."""
    venv = tmp_path_factory.mktemp("checkout") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    return venv


@pytest.fixture
def request_(bare_environment):
    """A set-up of a small checkout around that environment."""
    root = bare_environment.parent
    (root / "requirements.lock").write_text("numpy==2.4.6\n")
    (root / "pyproject.toml").write_text(f'torch = ["{PIN}"]\n')
    (bare_environment / installation.STAMP).unlink(missing_ok=True)
    return Request(root=root, venv=bare_environment, dev=True, torch=None, installer="auto")


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(installation, "say", lines.append)
    return lines


@pytest.fixture
def steps(monkeypatch):
    """Replaces the three steps that need a network; tells which ran, and `repair` of the packages' step."""
    ran = []
    monkeypatch.setattr(installation, "_installers", lambda request, runner: True)
    monkeypatch.setattr(installation, "_pages", lambda request, runner: None)
    monkeypatch.setattr(
        installation, "_packages", lambda request, runner, *, with_uv, repair: ran.append(("packages", repair))
    )
    monkeypatch.setattr(installation, "_torch", lambda request, runner, *, with_uv: "9.8.7+cpu")
    return ran


# ── Which Python ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("version", "enough"),
    [((3, 8, 18), False), ((3, 10, 99), False), ((3, 11, 0), True), ((3, 13), True), ((4, 0), True)],
)
def test_python_3_11_is_the_oldest(version, enough):
    assert installation.enough_python(version) is enough


def test_an_old_python_prints_one_sentence(monkeypatch, said):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    monkeypatch.setattr(installation, "newer_python", lambda: None)

    assert installation.main([]) == 1
    assert len(said) == 1
    assert "Python 3.11 or newer" in said[0]


def test_an_old_python_goes_on_with_a_newer_one_on_the_path(monkeypatch, said):
    started = []
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    monkeypatch.setattr(installation, "newer_python", lambda: "python-new")
    monkeypatch.setattr(installation.os, "execv", lambda program, arguments: (started.append(arguments), sys.exit(0)))

    with pytest.raises(SystemExit):
        installation.main(["--dev"])
    assert started == [["python-new", str(SOURCE), "--dev"]]


def test_a_newer_python_counts_only_if_it_starts(tmp_path, monkeypatch):
    """A version manager puts names on the path for versions that are not there."""
    for name, script in [("python3.13", "#!/bin/sh\nexit 127\n"), ("python3.12", "#!/bin/sh\necho True\n")]:
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert installation.newer_python() == str(tmp_path / "python3.12")


def test_old_pythons_can_parse_the_file():
    source = SOURCE.read_text(encoding="utf-8")

    ast.parse(
        source, feature_version=(3, 7)
    )  # the oldest that ast knows; 3.6 adds nothing that the next test would miss
    # Python 3.6 has no `from __future__ import annotations`, so annotations outside functions' bodies must be plain or quoted.
    assert "from __future__" not in source


def test_no_annotation_is_evaluated_that_an_old_python_does_not_know():
    module = ast.parse(SOURCE.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    evaluated = [
        annotation
        for function in functions
        for annotation in [
            function.returns,
            *(one.annotation for one in [*function.args.args, *function.args.kwonlyargs]),
        ]
    ] + [field.annotation for one in classes for field in one.body if isinstance(field, ast.AnnAssign)]

    assert all(annotation is None or isinstance(annotation, ast.Name | ast.Constant) for annotation in evaluated)


# ── What is there already ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_set_up_starts_no_process(request_, steps, said, monkeypatch):
    installation.set_up(request_)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a process"))

    installation.set_up(request_)

    assert steps == [("packages", False)]


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed(request_, steps, said, changed):
    installation.set_up(request_)
    (request_.root / changed).write_text(f'torch = ["{PIN}"]  # changed\n')

    installation.set_up(request_)

    assert steps == [("packages", False), ("packages", False)]


def test_users_need_nothing_where_developers_were_set_up(request_, steps, said):
    installation.set_up(request_)

    installation.set_up(request_._replace(dev=False))

    assert steps == [("packages", False)]


def test_what_developers_had_is_kept_when_users_set_up_anew(request_, steps, said):
    installation.set_up(request_)
    (request_.root / "requirements.lock").write_text("numpy==2.5.0\n")

    installation.set_up(request_._replace(dev=False))

    assert installation.read_stamp(request_.venv).dev


def test_an_interrupted_installation_is_repaired(request_, steps, said, monkeypatch):
    def interrupted(request, runner, *, with_uv, repair):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut_short:
        cut_short.setattr(installation, "_packages", interrupted)
        with pytest.raises(KeyboardInterrupt):
            installation.set_up(request_)
    assert installation.read_stamp(request_.venv).state == "installing"

    installation.set_up(request_)

    assert steps == [("packages", True)]


def test_torch_that_could_not_be_had_is_tried_again_only_when_asked(request_, steps, said, monkeypatch):
    monkeypatch.setattr(installation, "_torch", lambda request, runner, *, with_uv: None)
    installation.set_up(request_)

    installation.set_up(request_)
    assert len(steps) == 1

    installation.set_up(request_._replace(torch="auto"))
    assert len(steps) == 2


def stamp(state="ready", key="", dev=True, torch=None, torch_asked=True):
    return Stamp(state, key, dev, torch, torch_asked)


def test_an_environment_of_this_place_and_python_is_kept(request_):
    assert installation.why_rebuild(request_, None) is None


def test_a_moved_environment_is_made_anew(request_, tmp_path):
    """Its scripts begin with the old path."""
    moved = tmp_path / "moved"
    shutil.copytree(request_.venv, moved, symlinks=True)

    assert installation.why_rebuild(request_._replace(venv=moved), stamp()) == "it was made in another place"


def test_an_environment_of_another_python_is_made_anew(request_, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))

    assert "it was made for Python 3." in installation.why_rebuild(request_, stamp())


def test_an_environment_whose_python_was_removed_is_made_anew(request_, tmp_path):
    broken = tmp_path / ".venv"
    shutil.copytree(request_.venv, broken, symlinks=True)
    for name in (broken / "bin").glob("python*"):
        name.unlink()

    assert installation.why_rebuild(request_._replace(venv=broken), stamp()) == "its Python is gone"


def test_an_environment_that_was_never_finished_is_made_anew(request_):
    assert installation.why_rebuild(request_, stamp("creating")) == "an earlier set-up was interrupted"


def test_a_folder_that_is_no_environment_is_never_removed(request_, said, tmp_path):
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("years of work")

    with pytest.raises(SetupFailed, match="is no virtual environment"):
        installation.set_up(request_._replace(venv=precious))

    assert (precious / "chapter.txt").read_text() == "years of work"


def test_a_stamp_of_another_version_counts_as_none(tmp_path):
    (tmp_path / installation.STAMP).write_text(json.dumps({"state": "ready", "flavour": "vanilla"}))

    assert installation.read_stamp(tmp_path) is None


def test_a_place_that_cannot_be_made_is_one_sentence(request_, tmp_path, said):
    (tmp_path / "file").write_text("")

    with pytest.raises(SetupFailed, match="name a place you can write to"):
        installation.set_up(request_._replace(venv=tmp_path / "file" / ".venv"))


def test_a_python_without_ensurepip_names_the_package_to_install(request_, said, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)  # what `import` sees on a Debian without python3-venv

    with pytest.raises(SetupFailed, match=r"apt-get install python3\.\d+-venv"):
        installation.set_up(request_._replace(venv=tmp_path / ".venv"))
    assert not (tmp_path / ".venv").exists()


def test_two_set_ups_at_once_take_turns(tmp_path, monkeypatch):
    waiting, entered = threading.Event(), threading.Event()
    monkeypatch.setattr(installation, "say", lambda _: waiting.set())

    def second():
        with installation.alone(tmp_path):
            entered.set()

    other = threading.Thread(target=second)
    with installation.alone(tmp_path):
        other.start()
        assert waiting.wait(timeout=30)
        assert not entered.is_set()
    other.join(timeout=30)
    assert entered.is_set()


# ── pip's settings for uv ─────────────────────────────────────────────────────────────────────────────────────────────


def test_pip_settings_are_those_that_hold_for_install():
    """As pip ranks them: the environment over [install] over [global]; other commands' sections do not count."""
    listing = "\n".join(
        [
            ":env:.find-links='/from/environment'",
            "download.timeout='1'",
            "global.find-links='/from/global'",
            "global.index-url='https://mirror.example/global'",
            "install.index-url='https://mirror.example/install'",
            r"global.extra-index-url='\nhttps://a.example\nhttps://b.example'",
            "nonsense",
        ]
    )

    assert installation.pip_settings(listing) == {
        "find-links": "/from/environment",
        "index-url": "https://mirror.example/install",
        "extra-index-url": "\nhttps://a.example\nhttps://b.example",
    }


def test_real_pip_prints_what_is_read():
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={"PIP_INDEX_URL": "https://mirror.example/simple", "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert installation.pip_settings(listing)["index-url"] == "https://mirror.example/simple"


@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ({"index-url": "https://mirror.example"}, {"UV_DEFAULT_INDEX": "https://mirror.example"}),
        ({"find-links": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        ({"cert": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
        ({"client-cert": "/me.pem"}, {"SSL_CLIENT_CERT": "/me.pem"}),
        ({"trusted-host": "one two:8080"}, {"UV_INSECURE_HOST": "one two:8080"}),
        ({"proxy": "http://proxy:3128"}, {"HTTPS_PROXY": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128"}),
        ({"timeout": "60"}, {"UV_HTTP_TIMEOUT": "60"}),
        ({"default-timeout": "180"}, {"UV_HTTP_TIMEOUT": "180"}),
        ({"keyring-provider": "subprocess"}, {"UV_KEYRING_PROVIDER": "subprocess"}),
        ({"keyring-provider": "auto", "quiet": "1"}, {}),
        (
            {"extra-index-url": "\nhttps://a.example\nhttps://b.example"},
            {"UV_EXTRA_INDEX_URL": "https://a.example https://b.example", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
    ],
)
def test_a_mirror_in_pips_words_is_one_in_uvs_words(pip, uv):
    assert installation.uv_settings(pip, {}) == UvSettings(uv, ())


def test_pips_no_index_is_an_argument_for_uv():
    assert installation.uv_settings({"no-index": "true"}, {}).arguments == ("--no-index",)


@pytest.mark.parametrize(
    ("pip", "environment"),
    [
        ({"index-url": "https://pips.example"}, {"UV_DEFAULT_INDEX": "https://uvs.example"}),
        ({"index-url": "https://pips.example"}, {"UV_INDEX_URL": "https://uvs.example"}),
        ({"proxy": "http://pips:3128"}, {"https_proxy": "http://users:3128", "http_proxy": "http://users:3128"}),
        ({"cert": "/pips.pem"}, {"SSL_CERT_FILE": "/users.pem"}),
    ],
)
def test_what_is_set_for_uv_itself_stays(pip, environment):
    assert installation.uv_settings(pip, environment).variables == {}


def test_an_installer_is_not_led_elsewhere_by_the_users_shell():
    environment = {
        "PATH": "/bin",
        "PYTHONPATH": "/x",
        "PIP_TARGET": "/x",
        "PIP_USER": "1",
        "VIRTUAL_ENV": "/x",
        "HOME": "/h",
    }

    clean = installation.environment_for_installers(environment)

    assert {"PYTHONPATH", "PIP_TARGET", "VIRTUAL_ENV"}.isdisjoint(clean)
    assert (clean["PATH"], clean["PIP_USER"], clean["HOME"]) == ("/bin", "0", "/h")


def test_an_empty_home_is_none():
    """Joined with `.cache` it would be a folder at the root of the file system."""
    assert "HOME" not in installation.environment_for_installers({"HOME": ""})


def test_uvs_cache_works_where_it_can_be_made(tmp_path):
    assert installation.uv_cache_works({"HOME": str(tmp_path)})
    assert installation.uv_cache_works({"HOME": "/dev/null/nobody", "UV_CACHE_DIR": str(tmp_path / "new" / "cache")})


def test_uvs_cache_does_not_work_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")

    assert not installation.uv_cache_works({"HOME": str(tmp_path / "file")})


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fetching https://anna:secret@mirror.example/simple", "fetching https://***@mirror.example/simple"),
        ("fetching https://mirror.example/simple", "fetching https://mirror.example/simple"),
    ],
)
def test_a_mirrors_password_is_not_shown(said, shown):
    assert installation.hide_credentials(said) == shown


# ── Running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def runner(tmp_path, said):
    return installation.Runner(Path(sys.executable), log=tmp_path / "setup.log", say=said.append)


def test_a_step_says_what_it_does_and_how_it_ended(runner, said):
    assert runner.run("counting", [sys.executable, "-c", "print('one')"])

    assert said[0] == "counting …"
    assert "done after" in said[-1]
    assert runner.tail(1) == "one"


def test_a_failed_step_tells_the_reason(runner, said):
    program = (
        "import sys; print('Using Python'); print('error: no such wheel'); print('hint: look elsewhere'); sys.exit(2)"
    )

    assert not runner.run("looking", [sys.executable, "-c", program])

    assert "failed after" in said[-1]
    assert runner.reason() == "error: no such wheel"


def test_a_long_step_is_not_silent(runner, said, monkeypatch, tmp_path):
    """The program runs until the line was said: no time is waited for."""
    monkeypatch.setattr(installation, "HEARTBEAT_S", 0.05)
    gate = tmp_path / "gate"
    heard = said.append

    def hear(line):
        heard(line)
        if "s: " in line:
            gate.touch()

    runner.say = hear
    wait = f"import os\nprint('downloading', flush=True)\nwhile not os.path.exists({str(gate)!r}): pass"

    assert runner.run("fetching", [sys.executable, "-c", wait])
    assert any(line.endswith(("s: downloading", "s: working")) for line in said)


def test_the_reason_is_that_of_the_last_program(runner, said):
    runner.run("first", [sys.executable, "-c", "print('error: first'); raise SystemExit(1)"])
    runner.run("second", [sys.executable, "-c", "raise SystemExit(1)"])

    assert runner.reason() == "it said nothing"


# ── Which torch ───────────────────────────────────────────────────────────────────────────────────────────────────────


class ScriptedRunner:
    """Stands for pip and uv: answers each call by whether its arguments hold one of `works`."""

    def __init__(self, *works, find_links=False, plan=""):
        self.python = Path("python")
        self.works, self.has_find_links, self.plan = works, find_links, plan
        self.calls = []

    def uv(self, doing, *arguments):
        self.calls.append("uv " + " ".join(one for one in arguments if one not in ("-c", "lock", "--compile-bytecode")))
        return any(self.calls[-1].endswith(one) for one in self.works)

    def pip(self, doing, *arguments):
        self.calls.append("pip " + arguments[0])
        return self.calls[-1] in self.works

    def tail(self, lines):
        return self.plan

    def reason(self):
        return "no network"


def choose(runner, *, choice="auto", with_uv=True):
    return installation._choose_torch(runner, PIN, choice=choice, lock=Path("lock"), with_uv=with_uv)


@pytest.fixture
def linux(monkeypatch):
    """A Linux without a GPU and without torch."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(installation, "sees_nvidia_gpu", lambda: False)
    monkeypatch.setattr(installation, "_installed_torch", lambda python: None)


def test_a_cpu_wheel_in_pips_find_links_is_taken_first(linux):
    runner = ScriptedRunner(f"{PIN}+cpu", find_links=True)

    choose(runner)

    assert runner.calls == [f"uv {PIN}+cpu"]


def test_without_find_links_uv_looks_for_the_cpu_build(linux):
    runner = ScriptedRunner(f"--torch-backend cpu {PIN}")

    choose(runner)

    assert runner.calls == [f"uv --torch-backend cpu {PIN}"]


def test_a_mirrors_own_build_is_taken_if_it_comes_without_cuda(linux):
    runner = ScriptedRunner(
        f"--dry-run {PIN}", f"uv {PIN}", plan="Would install 2 packages\n+ sympy==1.14\n+ torch==9.8.7"
    )

    choose(runner)

    assert runner.calls[-1] == f"uv {PIN}"


@pytest.mark.parametrize("package", ["nvidia-cublas==13.1", "cuda-toolkit==13.0", "triton==3.7.1"])
def test_gigabytes_of_cuda_are_never_taken_for_a_machine_without_a_gpu(linux, package):
    runner = ScriptedRunner(f"--dry-run {PIN}", f"uv {PIN}", plan=f"+ torch==9.8.7\n+ {package}")

    with pytest.raises(TorchUnavailable, match="gigabytes of CUDA"):
        choose(runner)


def test_pip_alone_takes_only_a_build_that_calls_itself_cpu(linux):
    runner = ScriptedRunner()

    with pytest.raises(TorchUnavailable, match="no network"):
        choose(runner, with_uv=False)
    assert runner.calls == [f"pip {PIN}+cpu"]


def test_a_machine_with_a_gpu_gets_the_plain_build(linux, monkeypatch):
    monkeypatch.setattr(installation, "sees_nvidia_gpu", lambda: True)
    runner = ScriptedRunner(f"uv {PIN}")

    choose(runner)

    assert runner.calls == [f"uv {PIN}"]


def test_the_cpu_build_can_be_asked_for_on_a_machine_with_a_gpu(linux, monkeypatch):
    monkeypatch.setattr(installation, "sees_nvidia_gpu", lambda: True)
    runner = ScriptedRunner(f"--torch-backend cpu {PIN}")

    choose(runner, choice="cpu")

    assert runner.calls == [f"uv --torch-backend cpu {PIN}"]


def test_a_mac_gets_the_plain_build(linux, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    runner = ScriptedRunner(f"uv {PIN}")

    choose(runner, choice="cpu")

    assert runner.calls == [f"uv {PIN}"]


@pytest.mark.parametrize("present", ["9.8.7", "9.8.7+cpu", "9.8.7+cu130"])
def test_the_pinned_torch_is_not_installed_twice(linux, monkeypatch, present):
    monkeypatch.setattr(installation, "_installed_torch", lambda python: present)
    runner = ScriptedRunner()

    assert choose(runner) == present
    assert runner.calls == []


def test_without_torch_the_set_up_goes_on_and_says_how_to_retry(linux, request_, said):
    runner = ScriptedRunner()
    runner.python = request_.python

    assert installation._torch(request_, runner, with_uv=True) is None
    assert "Everything but the neural models works without" in said[-1]
    assert "make torch" in said[-1]


def test_the_pin_of_torch_is_read_from_the_project(request_):
    assert installation.torch_requirement(request_.root) == PIN


def test_the_pin_is_found_without_a_checkout_too(tmp_path):
    """An installed Evolve has no pyproject.toml, but its metadata say the same."""
    assert installation.torch_requirement(tmp_path) == installation.torch_requirement()


# ── For an image ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Hindered:
    """A runner to whom nothing can be brought."""

    python = Path("python")

    def run(self, doing, command):
        return False

    def reason(self):
        return "no npm"


def test_pages_that_cannot_be_built_are_a_remark_or_where_it_is_strict_a_failure(request_, said):
    installation._pages(request_, Hindered())
    assert "Everything but the web pages works" in said[-1]

    with pytest.raises(SetupFailed, match="no npm"):
        installation._pages(request_._replace(strict=True), Hindered())


def test_other_extras_are_another_set_up(request_):
    assert installation.stamp_key(request_) != installation.stamp_key(request_._replace(extras="s3"))
