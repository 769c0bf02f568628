"""YAML and flags -> one frozen pydantic model a job; the same names in both, flags win."""

import argparse
import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cvdata.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class Frozen(BaseModel):
    """Base of every config: frozen, and a name that it does not have is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Gates(Frozen):
    """Limits that what a run committed must keep: where one is passed, exit 8. None is set."""

    max_bad: float | None = Field(None, ge=0, le=1)
    """Largest share of images that cannot be read."""
    max_flagged: dict[str, float] = Field({})
    """Largest share of images that an issue flags, e.g. {blurry: 0.05}."""
    max_copies: float | None = Field(None, ge=0, le=1)
    """Largest share of images that are copies of a better one, by any method of `dedup`."""
    max_leaks: int | None = Field(None, ge=0)
    """Most pairs of copies across splits."""
    min_kept: float | None = Field(None, ge=0, le=1)
    """Least share of images that `decide` keeps."""
    min_metrics: dict[str, float] = Field({})
    """Least value of a metric of `infer`, as MODEL:METRIC, e.g. {"resnet:accuracy": 0.7}."""
    max_metrics: dict[str, float] = Field({})
    """Largest value of a metric of `infer`, e.g. {"detector:label_flips": 0.02}."""
    drift_from: str = ""
    """What the images must look like: a side of `cvdata drift`, or `last`: what came with this
    run is compared with what was there before it."""
    drift_limits: dict[str, float] = Field({})
    """From where on drift alarms, e.g. {psi: 0.3} (docs/drift.md)."""

    @property
    def is_set(self) -> bool:
        """Whether there is anything to check."""
        return bool(self.model_dump(exclude_defaults=True, exclude={"drift_limits"}))


@dataclass(frozen=True)
class Prices:
    """Of an hour of a CPU and of a GPU, in any currency."""

    cpu_hour: float = 0.0
    gpu_hour: float = 0.0


class JobConfig(Frozen):
    """What every job is told."""

    workspace: str = Field(min_length=1)
    """Folder of the results: a path, s3://, gs:// or abfs:// URL; made if it is new."""
    config: str | None = None
    """YAML file with any of these options; flags win over it."""
    engine: Literal["auto", "ray", "serial"] = "auto"
    """auto: the cluster that --address or RAY_ADDRESS names, else a Ray in this machine;
    serial: a plain loop in this process."""
    address: str = ""
    """Address of a running Ray cluster, e.g. `auto` or `10.0.0.1:6379`."""
    workers: int = Field(0, ge=0)
    """CPUs to use; 0: all."""
    object_store_bytes: int = Field(0, ge=0)
    """Memory of the embedded Ray's object store; 0: 30 % of the RAM, at most 4 GiB."""
    dry_run: bool = False
    """Print the resolved config and the plan, change nothing."""
    shared_workspace: bool = False
    """Every node of the cluster mounts the folders that are paths: of the workspace, of images."""
    single_writer: bool = False
    """Allow a store without create-if-absent; only one run may write then."""
    price_per_cpu_hour: float = Field(0.0, ge=0)
    """In any currency: `--dry-run` then says what the run costs."""
    price_per_gpu_hour: float = Field(0.0, ge=0)
    """The same of a GPU."""
    ignore_capacity: bool = False
    """Start even where memory, disk or workers look too few to end."""
    lock: Literal["warn", "require", "off"] = "warn"
    """Another run is at work on the workspace. warn: say so and run beside it, the tables stay
    right; require: do nothing, exit 9; off: do not look. A dead run holds no lock."""
    wait_for_lock: float = Field(0.0, ge=0)
    """Seconds to wait for the other run to end."""
    gates: Gates = Gates()
    """Limits that what is committed must keep, else exit 8 (docs/howto/nightly.md)."""
    summary: Literal["text", "json"] = "text"
    """json: the last line on standard output is one JSON object, also where the run fails."""
    metrics_file: str = ""
    """Write Prometheus metrics here, for node_exporter's textfile collector (NAME.prom)."""
    log_format: Literal["", "text", "json"] = ""
    """json: log one object a line; not given: CVDATA_LOG_FORMAT, else text."""
    verbose: bool = False
    """Log more."""

    @property
    def is_read_only(self) -> bool:
        """Whether the run leaves the workspace as it is, so that no lock is needed."""
        return self.dry_run

    @property
    def prices(self) -> Prices:
        """For the plan that `--dry-run` prints."""
        return Prices(self.price_per_cpu_hour, self.price_per_gpu_hour)


class _Parser(argparse.ArgumentParser):
    """Names the nearest flag when one is not known."""

    def error(self, message: str) -> NoReturn:
        known = [s for a in self._actions for s in a.option_strings if s.startswith("--")]
        for word in message.split():
            if word.startswith("--") and "unrecognized" in message:
                message += nearest(word.split("=")[0], known)
        self.exit(ConfigError.exit_code, f"{self.prog}: {message}\n{self.prog} --help lists them\n")


def nearest(name: str, known: Sequence[str]) -> str:
    """` (did you mean X?)` where a known name is near, else nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def parse(model: type[M], argv: Sequence[str], prog: str) -> M:
    """The config that `argv` and the YAML file named in it ask for.

    Raises `ConfigError` for values that do not fit; exits with 2 for flags that do not exist.
    """
    path = _config_path(argv)
    from_file = _read_yaml(path, model) if path else {}
    parser = _Parser(prog=prog, description=model.__doc__, allow_abbrev=False)

    class Settings(model, BaseSettings):  # type: ignore[misc, valid-type]
        model_config = SettingsConfigDict(
            frozen=True, extra="forbid", use_attribute_docstrings=True
        )

        @classmethod
        def settings_customise_sources(  # type: ignore[override]
            cls, settings_cls: type[BaseSettings], **sources: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            cli = CliSettingsSource[Any](
                settings_cls,
                root_parser=parser,
                cli_parse_args=list(_with_mappings(argv, model)),
                cli_kebab_case=True,
                cli_implicit_flags=True,
                cli_hide_none_type=True,
                cli_avoid_json=True,
                cli_prog_name=prog,
            )
            return cli, sources["init_settings"]

    try:
        settings = Settings(**from_file)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, path)) from None
    except SettingsError as error:
        raise ConfigError(f"{error}: a mapping is NAME=VALUE or {{NAME: VALUE}}") from None
    return model.model_validate(settings.model_dump())


def _with_mappings(argv: Sequence[str], model: type[BaseModel]) -> Iterator[str]:
    """`argv` with mappings as the parser takes them: YAML becomes JSON, lists keep their commas."""
    takes = False
    for word in argv:
        flag, equals, value = word.partition("=")
        if word.startswith("--"):
            takes = _takes_mapping(model, flag.removeprefix("--"))
            yield f"{flag}={_mapping(value)}" if equals and takes else word
        else:
            yield _mapping(word) if takes else word
            takes = False


def _takes_mapping(model: Any, flag: str) -> bool:
    first, _, rest = flag.replace("-", "_").partition(".")
    field = model.model_fields.get(first)
    if field is None or not rest:
        kind = field and field.annotation
        return "dict[" in str(kind) or hasattr(kind, "model_fields")
    return hasattr(field.annotation, "model_fields") and _takes_mapping(field.annotation, rest)


def _mapping(text: str) -> str:
    """`{a: 1}` as JSON; in `a=1,2,b=3` what has no name goes on with the value before it."""
    if text.startswith("{"):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            why = getattr(error, "problem", None) or error
            raise ConfigError(f"{text} is no mapping: {why}") from error
        return json.dumps(value) if isinstance(value, dict) else text
    if '"' in text:
        return text
    pairs: list[str] = []
    for piece in text.split(","):
        if "=" in piece or not pairs:
            pairs.append(piece)
        else:
            pairs[-1] += f",{piece}"
    named = (pair.partition("=") for pair in pairs)
    return ",".join(f'{n}="{v}"' if "," in v else f"{n}{eq}{v}" for n, eq, v in named)


def _config_path(argv: Sequence[str]) -> str | None:
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    return finder.parse_known_args(list(argv))[0].config  # type: ignore[no-any-return]


def _read_yaml(path: str, model: type[BaseModel]) -> dict[str, Any]:
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config file {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold options by name, not {type(value).__name__}")
    return {str(k).replace("-", "_"): v for k, v in value.items()}


def _explain(error: ValidationError, model: type[BaseModel], path: str | None) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(p) for p in problem["loc"])
        if problem["type"] == "extra_forbidden":
            hint = nearest(name, list(model.model_fields))
            lines.append(f"unknown option {name!r}{hint}")
        elif problem["type"] == "missing":
            lines.append(f"--{name.replace('_', '-')} is missing")
        else:
            lines.append(f"{name}: {problem['msg']} (got {problem['input']!r})")
    where = f" (from flags and {path})" if path else ""
    return "; ".join(lines) + where


def build_part(model: type[M], values: dict[str, Any], section: str) -> M:
    """The config that a section of another one holds; `ConfigError` names the section."""
    try:
        return model.model_validate({k.replace("-", "_"): v for k, v in values.items()})
    except ValidationError as error:
        raise ConfigError(f"in {section}: {_explain(error, model, None)}") from None


def dump(config: BaseModel) -> str:
    """The resolved config as YAML, as `--dry-run` prints it and commits store it."""
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
