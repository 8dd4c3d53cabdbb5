"""Certificate authorities of an organisation's own."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import SettingsError

# OpenSSL's name, and the names that the Azure CLI and curl users have set already.
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def find_bundle(environ: Mapping[str, str]) -> Path | None:
    """Return the file or folder of certificates that the environment names.

    Raises:
        SettingsError: it is not there.
    """
    name = next((name for name in BUNDLE_VARIABLES if environ.get(name)), None)
    if name is None:
        return None
    path = Path(environ[name])
    if not path.exists():
        raise SettingsError(f"{name} names a file that is not there: correct it, or unset it")
    return path


def tls_context(bundle: Path | None) -> ssl.SSLContext:
    """Return what connections to a pool are made with, by the certificates that `find_bundle` has found.

    Raises:
        SettingsError: they cannot be read.
    """
    if bundle is None:
        import httpx  # every kernel loads this module, and few need httpx

        return httpx.create_ssl_context()  # with `SSL_CERT_DIR`
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise SettingsError(f"The certificates in {bundle} cannot be read: {error.strerror or error}") from None
