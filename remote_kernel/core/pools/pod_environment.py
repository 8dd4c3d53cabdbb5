"""Environment of a pod: the variables that programs need to run, and none that opens something."""

import re
from collections.abc import Mapping

_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LANGUAGE",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "http_proxy", "https_proxy", "no_proxy",
        "IPYTHONDIR", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH",
        "JUPYTER_PLATFORM_DIRS", "JUPYTER_PREFER_ENV_PATH",
    }
)  # fmt: skip
_PREFIXES = ("LC_", "PYTHON", "CONDA_", "PIP_", "XDG_", "MPL", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "CUDA_")

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|(API|ACCESS|PRIVATE)_?KEY|_KEY$", re.IGNORECASE)
_URL_WITH_CREDENTIALS = re.compile(r"://[^/\s]*@")


def pod_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environ` that a pod may see.

    It is a list of what is allowed, because no list of secrets is ever complete. Of what is allowed, a variable with
    the name of a secret or with a URL that holds credentials (a package index, a proxy) is left out all the same.
    """
    return {name: value for name, value in environ.items() if _is_allowed(name) and not is_secret(name, value)}


def _is_allowed(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES)


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable has the name of a secret, or holds a URL with a password."""
    return bool(_SECRET_NAME.search(name) or _URL_WITH_CREDENTIALS.search(value))
