from services.common.memory import available_memory, total_memory


def test_memory_is_read_from_this_machine() -> None:
    assert 0 < available_memory() < total_memory() < 2**50
