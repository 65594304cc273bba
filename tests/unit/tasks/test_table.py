import pytest

from mel import tasks


def test_every_task_of_the_table_can_be_found_by_its_name():
    for name, place in tasks.TASKS.items():
        module, attribute = place.split(":")
        assert name
        assert module.startswith("mel.tasks.")
        assert attribute.isidentifier()


def test_an_unknown_task_is_refused_with_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"task: expected one of .*story_counts.*; got 'story_count'; did you mean 'story_counts'\?"
    ):
        tasks.load("story_count")


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"task story_counts: unknown option 'lenght'; .* did you mean 'length'\?"):
        tasks.load("story_counts", lenght=5)
