from pathlib import Path

import pytest

from intelforge.core.current_settings import CurrentSettings
from intelforge.core.errors import ConfigError
from intelforge.core.settings import Settings
from intelforge.core.settings_file import FILE_NAME, load_settings


@pytest.fixture
def current(tmp_path: Path) -> CurrentSettings:
    (tmp_path / FILE_NAME).write_text('index = "faiss:one"\nworkers = 1\n')
    flags = {"embedder": "none:"}
    return CurrentSettings(tmp_path, *load_settings(tmp_path, flags=flags, environment={}), flags)


def test_a_written_setting_holds_at_once_and_is_in_the_file(current: CurrentSettings, tmp_path: Path) -> None:
    told: list[Settings] = []
    current.changed = told.append
    current.write("index", "faiss:two")
    assert (current.now.index, current.now.workers) == ("faiss:two", 1)
    assert 'index = "faiss:two"' in (tmp_path / FILE_NAME).read_text()
    assert told == [current.now]
    assert current.origins["index"] == str(tmp_path / FILE_NAME)


def test_a_setting_that_a_flag_gives_is_not_written(current: CurrentSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it comes from: flag"):
        current.write("embedder", "onnx:all-MiniLM-L6-v2")
    assert "embedder" not in (tmp_path / FILE_NAME).read_text()


def test_what_another_wrote_to_the_file_is_followed_for_the_index_alone(
    current: CurrentSettings, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_text('index = "faiss:three"\nworkers = 2\nembedder = "ollama:x"\n')
    current.follow()
    assert (current.now.index, current.now.workers, current.now.embedder) == ("faiss:three", 1, "none:")
    (tmp_path / FILE_NAME).write_text("")
    current.follow()
    assert current.now.index == Settings.model_fields["index"].default
    assert "index" not in current.origins
