"""Pictures as MLflow's UI shows them by step, under names of their own: one that is sent twice is there once."""

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from numpy.typing import NDArray

LOGGED = "mlflow.loggedImages"  # the tag without which the UI looks for no pictures
THUMBNAIL = 320  # pixels of the longer side: the UI's tile has room for 336, and shows it as it is
SECTION = "grids"  # of the UI's charts; it comes before that of the metrics, which would have the pictures among them


def read_picture(path: Path) -> "NDArray[np.uint8]":
    """A picture file as [height, width] or [height, width, 3], 0 … 255."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def log_picture(
    client: "MlflowClient", run_id: str, image: "NDArray[np.uint8]", key: str, step: int, origin: str
) -> None:
    """What MLflow's log_image writes, a PNG and a small WebP in ``images/``, but for the name: it draws one by chance.
    The UI reads key and step in the name, and the part of the key before a slash (``~`` there) as a section of charts.

    Args:
        client: of the store.
        run_id: where the picture goes.
        image: [height, width] or [height, width, 3], 0 … 255.
        key: what the pictures of a row have in common.
        step: where in the row this one stands.
        origin: the run that drew it; with key and step it makes the name.
    """
    from mlflow.tracking.multimedia import compress_image_size, convert_to_pil_image

    picture = convert_to_pil_image(image)
    name = f"{SECTION}~{key}+step+{step}+timestamp+{step}+{uuid.uuid5(uuid.NAMESPACE_OID, f'{origin}/{key}/{step}')}"
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / f"{name}.png", Path(folder) / f"{name}+compressed.webp"
        for file, version in zip(files, (picture, compress_image_size(picture, THUMBNAIL)), strict=True):
            version.save(file)
            client.log_artifact(run_id, str(file), "images")
    client.set_tag(run_id, LOGGED, "True")
