import pytest

from .image import Image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The container image's stages, built: console, wheel, an environment with the wheel in it."""
    return Image(tmp_path_factory.mktemp("image")).build()
