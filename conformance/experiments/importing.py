"""What a user names as ``package.module:attribute``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from conformance.contract.extras import require_no_engine
from conformance.contract.subject import Build, RequestError
from reference.runtime.errors import cause


def imported(code: Build, what: str, before: str = " ") -> Callable[..., Any]:
    """Return what ``"package.module:attribute"`` names, or a callable as it is.

    Args:
        code: The name or the callable.
        what: What messages call it.
        before: Stands before the name in messages.

    Raises:
        RequestError: If it cannot be imported or is not callable.
        NotExecuted: If it needs an engine that is not installed.
    """
    if callable(code):
        return code
    module, _, attribute = code.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        require_no_engine(error)
        raise RequestError(f"{what}{before}{code}: {type(error).__name__}: {cause(error)}") from None
    if not callable(found):
        raise RequestError(f"{what}{before}{code}: {attribute} is not callable")
    return found  # type: ignore[no-any-return]
