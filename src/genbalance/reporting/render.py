"""Templates to HTML."""

import base64
from typing import Any

from genbalance.reporting import text


def render(template: str, **values: Any) -> str:
    """A template of templates/ as text: whatever ``values`` hold is escaped, and a name that is not there an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("genbalance.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=text.number, share=text.share, parameter=text.parameter)
    environment.filters.update(unbroken=text.unbroken, data_uri=_data_uri)
    return environment.get_template(template).render(**values)


def _data_uri(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")
