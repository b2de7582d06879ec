"""How static files are kept in production: hashed names, compressed, cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # no types
    """Imports between our modules are rewritten too: a new page never meets an old module."""

    support_js_module_import_aggregation = True
