"""What did the user configure? The only place that reads the environment.

Precedence everywhere: argument > environment > default.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from evolve.errors import InvalidRequest, violation

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_DB = "localhost", 6379, 0
ADDRESSES = ("redis_url", "database_url", "otlp_endpoint")  # which may hold a password
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseSettings):
    """One frozen value. Times are seconds, sizes bytes unless the name says otherwise."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True, populate_by_name=True, env_prefix="EVOLVE_", extra="ignore", str_strip_whitespace=True,
        env_ignore_empty=True,  # compose files and units pass `X=` for what was left out
    )  # fmt: skip

    redis_host: str = Field(DEFAULT_HOST, validation_alias="REDIS_HOST")
    redis_port: int = Field(DEFAULT_PORT, ge=1, le=65_535, validation_alias="REDIS_PORT")
    redis_db: int = Field(DEFAULT_DB, ge=0, validation_alias="REDIS_DB")
    redis_url: str | None = Field(None, repr=False, validation_alias="REDIS_URL")
    redis_username: str | None = Field(None, validation_alias="REDIS_USERNAME")
    redis_password: str | None = Field(None, repr=False, validation_alias="REDIS_PASSWORD")
    redis_tls: bool = Field(False, validation_alias="REDIS_TLS")
    redis_ca_certs: str | None = Field(None, validation_alias="REDIS_CA_CERTS")
    # This client's own certificate, for a server that wants one.
    redis_certfile: str | None = Field(None, validation_alias="REDIS_CERTFILE")
    redis_keyfile: str | None = Field(None, validation_alias="REDIS_KEYFILE")
    # How many replicas of the server must have a request before it counts as accepted; 0: the primary alone decides.
    redis_wait_replicas: int = Field(0, ge=0, validation_alias="REDIS_WAIT_REPLICAS")
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = Field("INFO", validation_alias="LOG_LEVEL")
    # json: one object a line, for collectors; text: for people.
    log_format: Literal["text", "json"] = Field("text")
    # A collector of OpenTelemetry's (OTLP over HTTP): with one, every request leaves its trace there.
    otlp_endpoint: str | None = Field(None, repr=False, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    openai_api_key: str | None = Field(None, repr=False, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    llm_model: str | None = Field(None)
    # An opinion is asked for this often; how many agree is shown beside it.
    llm_samples: int = Field(3, ge=1, le=9)
    llm_seconds_per_question: float = Field(20.0, gt=0)
    llm_tokens_per_question: int = Field(30_000, gt=0)
    llm_tokens_per_day: int = Field(1_000_000, gt=0)
    # 0: no limit. Prices per million tokens are the user's to say: they change.
    llm_usd_per_question: float = Field(0.0, ge=0)
    llm_usd_per_day: float = Field(0.0, ge=0)
    llm_usd_per_million_in: float = Field(0.0, ge=0)
    llm_usd_per_million_out: float = Field(0.0, ge=0)

    # Keys of data services, under the names that these use themselves.
    alpaca_key_id: str | None = Field(None, repr=False, validation_alias="APCA_API_KEY_ID")
    alpaca_secret_key: str | None = Field(None, repr=False, validation_alias="APCA_API_SECRET_KEY")
    polygon_api_key: str | None = Field(None, repr=False, validation_alias="POLYGON_API_KEY")
    tiingo_api_key: str | None = Field(None, repr=False, validation_alias="TIINGO_API_KEY")
    stooq_api_key: str | None = Field(None, repr=False, validation_alias="STOOQ_API_KEY")
    github_token: str | None = Field(None, repr=False, validation_alias="GITHUB_TOKEN")

    # How alerts are sent; passwords and tokens by the environment or a file, never in the database.
    smtp_host: str | None = Field(None)
    smtp_port: int = Field(587, ge=1, le=65_535)
    smtp_tls: Literal["starttls", "tls", "none"] = Field("starttls")
    smtp_ca_certs: str | None = Field(None)
    smtp_username: str | None = Field(None)
    smtp_password: str | None = Field(None, repr=False)
    smtp_password_file: Path | None = Field(None)
    smtp_from: str | None = Field(None)
    telegram_token: str | None = Field(None, repr=False)
    telegram_token_file: Path | None = Field(None)
    telegram_url: str = Field("https://api.telegram.org")

    safe_executor_timeout_s: float = Field(300.0, gt=0, lt=86_400, validation_alias="SAFE_EXECUTOR_TIMEOUT")
    safe_executor_memory_mb: int = Field(1024, ge=1, validation_alias="SAFE_EXECUTOR_MEMORY_LIMIT")

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(default_factory=lambda: user_data_path("evolve"))
    log_dir: Annotated[Path, AfterValidator(Path.expanduser)] | None = Field(None)
    database_url: str | None = Field(None, repr=False)
    # Where weights and stored forecasts lie, an address of fsspec's; without one the home's directory `artifacts`.
    artifacts_url: str | None = Field(None)
    # Where imported and fetched bars lie, in the same way; what was read from afar is kept here up to this size (0: nothing).
    bars_url: str | None = Field(None)
    bars_cache_mb: int = Field(256, ge=0)
    # What networks are trained on, auto: a GPU where torch sees one; weights are the same on every machine only on the CPU by the defaults.
    training_device: Literal["cpu", "cuda", "auto"] = Field("auto")
    training_precision: Literal["float32", "bfloat16"] = Field("float32")
    training_threads: int = Field(1, ge=1, le=256)
    # Who does work that can be divided: this machine's cores, or the workers of a Dask or Ray cluster.
    compute: str = Field("local")
    compute_memory_mb: int = Field(0, ge=0)
    response_timeout_s: float = Field(30.0, gt=0, validation_alias="EVOLVE_RESPONSE_TIMEOUT")
    lease_s: float = Field(10.0, gt=0.2)
    heartbeat_s: float = Field(1.0, gt=0.05)
    drain_s: float = Field(10.0, ge=0)
    # When replicas follow the work (`manager.autoscaling` says what each means).
    scale_old_s: float = Field(2.0, gt=0)
    scale_settle_s: float = Field(5.0, ge=0)
    scale_calm_s: float = Field(60.0, gt=0)
    done_retention_s: int = Field(86_400, gt=0)
    max_message_bytes: int = Field(8 << 20, gt=0)
    max_reply_bytes: int = Field(64 << 20, gt=0)
    max_upload_bytes: int = Field(64 << 20, gt=0)
    max_queued: int = Field(100_000, gt=0)
    rate: int = Field(0, ge=0)
    retry_first_s: float = Field(1.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    idle_stop_s: float = Field(1800.0, gt=0)
    simulate: bool = Field(False)
    image_dirs: str = Field("")
    # Where data services answer; another address is for a proxy, a mirror or a test.
    alpaca_url: str = Field("https://data.alpaca.markets")
    alpaca_feed: Literal["sip", "iex"] = Field("sip")
    polygon_url: str = Field("https://api.polygon.io")
    tiingo_url: str = Field("https://api.tiingo.com")
    stooq_url: str = Field("https://stooq.com")
    yahoo_url: str | None = Field(None)
    ccxt_exchange: str = Field("binance")
    ccxt_url: str | None = Field(None)
    data_limit_s: float = Field(300.0, gt=0)
    data_fresh_s: float = Field(3600.0, ge=0)
    github_url: str = Field("https://api.github.com")
    arxiv_url: str = Field("https://export.arxiv.org")
    # For one search, or for one paper to be fetched; a client waits 30 s unless told otherwise.
    research_limit_s: float = Field(20.0, gt=0)
    # Papers on this machine or its own network: for tests only, since whoever asks could then read what only this machine may.
    research_private_addresses: bool = Field(False)
    # What `evolve mcp --http` asks of its callers; without one it makes one up where one is needed.
    mcp_token: str | None = Field(None, repr=False)
    # Where `evolve serve` and `evolve up` answer a browser. Other than this machine itself (0.0.0.0) means tokens for all.
    web_host: str = Field("127.0.0.1")
    web_port: int = Field(8765, ge=0, le=65_535)
    # Further names of this machine, split at commas; pages of other origins that may ask, with a token; requests per minute and asker.
    web_hosts: str = Field("")
    web_origins: str = Field("")
    web_rate: int = Field(3_000, ge=0)
    # Set by the front of the safe executor for its jobs: where its sandbox answers.
    sandbox_socket: Path | None = Field(None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files that the environment names."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Settings from arguments and the environment. Raises InvalidRequest naming the variable that is wrong."""
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            wrong = violation(first["type"], first.get("ctx", {}), first["msg"], repr(first.get("input")))
            raise InvalidRequest(f"{_variable(first['loc'])} {wrong}") from None

    @classmethod
    def for_server(cls, host: str, port: int, db: int) -> Settings:
        """Settings for the server that a constructor's arguments name; one that equals its default means "as configured"."""
        named = {"redis_host": (host, DEFAULT_HOST), "redis_port": (port, DEFAULT_PORT), "redis_db": (db, DEFAULT_DB)}
        given = {name: value for name, (value, default) in named.items() if value != default}
        settings = cls.load(**given)
        # An argument wins over the environment, whose REDIS_URL would name another server.
        return settings.model_copy(update={"redis_url": None}) if given else settings

    def with_arguments(self, **given: object) -> Settings:
        """These settings with arguments in place of some of them; None leaves what is there. Raises InvalidRequest."""
        changed = {name: value for name, value in given.items() if value is not None}
        if not changed:
            return self
        checked = type(self).load(**changed)
        return self.model_copy(update={name: getattr(checked, name) for name in changed})

    @property
    def redis_is_default(self) -> bool:
        """True when host, port and db are the documented defaults, which mean "as configured" (see `messaging.connection`)."""
        return (self.redis_host, self.redis_port, self.redis_db) == (DEFAULT_HOST, DEFAULT_PORT, DEFAULT_DB)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys, passwords and tokens among the settings, for whoever must not show them. Addresses are not: of them only the password is one."""
        hidden = [name for name, field in type(self).model_fields.items() if not field.repr and name not in ADDRESSES]
        return tuple(value for name in hidden if isinstance(value := getattr(self, name), str) and value)

    @cached_property
    def run_dir(self) -> Path:
        """Sockets, locks and pid files of this home."""
        return self.home / "run"

    @property
    def answers(self) -> Path:
        """What data services answered; may be deleted at any time."""
        return self.home / "answers"

    @property
    def logs(self) -> Path:
        """Where log files go: EVOLVE_LOG_DIR, else the checkout's `logs/`, else the home's."""
        return self.log_dir or (checkout() / "logs" if checkout() else self.home / "logs")  # type: ignore[operator]

    @property
    def plots(self) -> Path:
        """Where pictures go: beside the logs."""
        return self.logs.parent / "plots"

    @property
    def image_places(self) -> tuple[Path, ...]:
        """Where pictures may be read from: our plots, the home's `images`, and the directories of EVOLVE_IMAGE_DIRS (split at `:`)."""
        own = [Path(part).expanduser() for part in self.image_dirs.split(os.pathsep) if part.strip()]
        return (self.plots, self.home / "images", *own)

    def mail_sender(self) -> str:
        """Whom alerts by mail are from. Raises InvalidRequest where mail is not configured."""
        sender = self.smtp_from or self.smtp_username
        if not self.smtp_host or not sender:
            raise InvalidRequest("mail needs EVOLVE_SMTP_HOST and EVOLVE_SMTP_FROM in the environment of the services")
        return sender

    def mail_password(self) -> str | None:
        """None for a mail server without a login. Raises InvalidRequest for a file that cannot be read."""
        return secret(f"file:{self.smtp_password_file}") if self.smtp_password_file else self.smtp_password

    def telegram_bot_token(self) -> str:
        """Raises InvalidRequest where there is none, or it cannot be one."""
        token = secret(f"file:{self.telegram_token_file}") if self.telegram_token_file else self.telegram_token
        if not token:
            raise InvalidRequest(
                "Telegram needs EVOLVE_TELEGRAM_TOKEN, or EVOLVE_TELEGRAM_TOKEN_FILE, in the environment of the services"
            )
        if not all(sign.isascii() and (sign.isalnum() or sign in ":_-") for sign in token):
            raise InvalidRequest("the Telegram token holds signs that none has; copy it again from @BotFather")
        return token

    def service(self, service: str, name: str, default: int, *, at_least: int = 0) -> int:
        """A whole number set per service, `EVOLVE_MODEL_BUILDER_SLOTS=2`. Raises InvalidRequest if it is none."""
        variable = f"EVOLVE_{service}_{name}".upper()
        text = os.environ.get(variable)
        if text is None or not text.strip():
            return default
        if not text.strip().isdecimal() or int(text) < at_least:
            raise InvalidRequest(f"{variable} must be a whole number of at least {at_least}, not {text!r}")
        return int(text)


class _SecretFiles(PydanticBaseSettingsSource):
    """`REDIS_PASSWORD_FILE=/run/secrets/word` in the place of `REDIS_PASSWORD`: what an orchestrator mounts stays out of the environment.

    For every setting that `repr` hides. Raises InvalidRequest for a file that cannot be read or is empty, never with what is in it.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        variable = f"{field.validation_alias or f'EVOLVE_{field_name}'.upper()}_FILE"
        place = os.environ.get(variable, "").strip()
        key = str(field.validation_alias or field_name)  # what the model takes it by
        try:
            return (secret(f"file:{place}") if place else None), key, False
        except InvalidRequest as error:
            raise InvalidRequest(f"{variable}: {error.message}") from None

    def __call__(self) -> dict[str, str]:
        fields = self.settings_cls.model_fields
        # Some have a setting of their own for their file, which is read when they are needed.
        hidden = {name: field for name, field in fields.items() if not field.repr and f"{name}_file" not in fields}
        found = [self.get_field_value(field, name) for name, field in hidden.items()]
        return {name: value for value, name, _ in found if value is not None}


def secret(reference: str) -> str:
    """What stands at `env:NAME` or in `file:/PATH`, without the white space around it. Raises InvalidRequest, never with the secret."""
    kind, _, place = reference.partition(":")
    if kind == "env":
        text = os.environ.get(place, "")
    elif kind == "file":
        try:
            text = Path(place).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                f"cannot read the secret in {place}: {getattr(error, 'strerror', None) or 'no text'}"
            ) from None
    else:
        raise InvalidRequest("a secret stands at env:NAME or file:/PATH")
    if not text.strip():
        where = f"the variable {place} of the services" if kind == "env" else place
        raise InvalidRequest(f"{where} holds no secret")
    return text.strip()


def _variable(where: tuple[int | str, ...]) -> str:
    """The environment variable of a setting, as the user writes it."""
    name = str(where[0]) if where else "settings"
    field = Settings.model_fields.get(name)
    if field is None:
        return name  # an alias, which is the variable itself
    return str(field.validation_alias or f"EVOLVE_{name}").upper()


def checkout() -> Path | None:
    """The root of the checkout this code runs from, or None when it was installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "services").is_dir() else None
